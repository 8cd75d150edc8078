"""How far long work is: a bar with rate and ETA on a terminal, else lines; the log has the lines too."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from minebench.text import duration

log = logging.getLogger(__name__)
FIRST_S = 2.0
"""Work that is done sooner says nothing of itself."""
SHARE = 1 / 50
"""Of the time gone, that passes between two lines: an hour's work is followed by a line a minute."""
Advance = Callable[..., None]
_silent = threading.Event()


def silence() -> None:
    """From now on this process says nothing of its progress: it works for another one, which does."""
    _silent.set()


@contextmanager
def progress(label: str, total: int, unit: str, inside: bool = False) -> Iterator[Advance]:
    """Show progress of `total` units on stderr; yields the function that counts one as done, or as many
    as it is told, and shows a `note` beside the rate. Several threads may call it. Work `inside` other work
    that has a bar is told of in lines."""
    # Of several processes the first one speaks.
    is_first = os.environ.get("RANK", "0") == "0" and not _silent.is_set()
    has_bar = sys.stderr.isatty() and not inside
    lines = _Lines(label, total, unit, spoken=is_first and not has_bar)
    bar = _bar(label, total, unit) if is_first and has_bar else None

    def advance(count: int = 1, note: str = "") -> None:
        lines.advance(count, note)
        if bar:
            bar.advance(bar.task_ids[0], count)
            if note:
                bar.update(bar.task_ids[0], note=note)

    with lines:
        if bar is None:
            yield advance
            return
        with bar:
            yield advance


class _Lines:
    """A line now and then, such as `fetch: 3 of 9 sites, 2.1 sites/min, about 3 min left`."""

    def __init__(self, label: str, total: int, unit: str, spoken: bool) -> None:
        self.label, self.total, self.unit, self.spoken = label, total, unit, spoken
        self.done, self.note = 0, ""
        self.start = self.last = time.monotonic()
        self.lock = threading.Lock()
        # Long before the first unit is done, somebody may be waiting for a sign.
        self.sign = threading.Timer(FIRST_S, self._say)
        self.sign.daemon = True
        self.sign.name = "minebench progress"

    def __enter__(self) -> None:
        self.sign.start()

    def __exit__(self, *_: object) -> None:
        self.sign.cancel()

    def advance(self, count: int, note: str) -> None:
        with self.lock:
            self.done += count
            self.note = note or self.note
            now = time.monotonic()
            due = now - self.last >= max(FIRST_S, (now - self.start) * SHARE)
            is_last = self.done >= self.total and self.last > self.start
        if due or is_last:
            self.sign.cancel()
            self._say()

    def _say(self) -> None:
        with self.lock:
            self.last = time.monotonic()
            text = self._text(self.last - self.start)
        log.info("%s", text)
        if self.spoken:
            print(text, file=sys.stderr, flush=True)

    def _text(self, gone: float) -> str:
        text = f"{self.label}: {self.done:,} of {self.total:,} {self.unit}"
        if self.done and gone:
            a_second = self.done / gone
            rate, per = (a_second, "s") if a_second >= 1 else (a_second * 60, "min")
            text += f", {rate:,.1f} {self.unit}/{per}"
            if self.done < self.total:
                text += f", about {duration((self.total - self.done) / a_second)} left"
        return f"{text}, {self.note}" if self.note else text


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s")


def _bar(label: str, total: int, unit: str) -> Progress:
    bar = Progress(
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    bar.add_task(label, total=total, unit=unit, note="")
    return bar
