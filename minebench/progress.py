"""Progress of long work: a bar with rate and ETA on a terminal, else lines; the log has the lines too."""

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
"""Work that takes fewer seconds prints no line."""
SHARE = 1 / 50
"""Time between two lines as a share of the elapsed time: one line per minute after 50 minutes."""
Advance = Callable[..., None]
_silent = threading.Event()


def silence() -> None:
    """Show no progress in this process from now on, because another process shows it."""
    _silent.set()


@contextmanager
def progress(label: str, total: int, unit: str, inside: bool = False) -> Iterator[Advance]:
    """Show progress on stderr.

    Parameters
    ----------
    label
        What is done.
    total, unit
        Number of units to do, and their name in the plural.
    inside
        Whether this is part of work that has a bar: then print lines.

    Yields
    ------
    callable
        ``advance(count=1, note="")``: count units as done, and show a note beside the rate. Thread-safe.
    """
    # Of several training processes only rank 0 prints.
    prints = os.environ.get("RANK", "0") == "0" and not _silent.is_set()
    has_bar = sys.stderr.isatty() and not inside
    lines = _Lines(label, total, unit, printed=prints and not has_bar)
    bar = _bar(label, total, unit) if prints and has_bar else None

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
    """Write lines such as `fetch: 3 of 9 sites, 2.1 sites/min, about 3 min left`."""

    def __init__(self, label: str, total: int, unit: str, printed: bool) -> None:
        self.label, self.total, self.unit, self.printed = label, total, unit, printed
        self.done, self.note = 0, ""
        self.start = self.last = time.monotonic()
        self.lock = threading.Lock()
        # The first unit may take long: a line shows that work has begun.
        self.first_line = threading.Timer(FIRST_S, self._write)
        self.first_line.daemon = True
        self.first_line.name = "minebench progress"

    def __enter__(self) -> None:
        self.first_line.start()

    def __exit__(self, *_: object) -> None:
        self.first_line.cancel()

    def advance(self, count: int, note: str) -> None:
        with self.lock:
            self.done += count
            self.note = note or self.note
            now = time.monotonic()
            is_due = now - self.last >= max(FIRST_S, (now - self.start) * SHARE)
            is_last = self.done >= self.total and self.last > self.start
        if is_due or is_last:
            self.first_line.cancel()
            self._write()

    def _write(self) -> None:
        with self.lock:
            self.last = time.monotonic()
            text = self._text(self.last - self.start)
        log.info("%s", text)
        if self.printed:
            print(text, file=sys.stderr, flush=True)

    def _text(self, elapsed_s: float) -> str:
        text = f"{self.label}: {self.done:,} of {self.total:,} {self.unit}"
        if self.done and elapsed_s:
            per_second = self.done / elapsed_s
            rate, per = (per_second, "s") if per_second >= 1 else (per_second * 60, "min")
            text += f", {rate:,.1f} {self.unit}/{per}"
            if self.done < self.total:
                text += f", about {duration((self.total - self.done) / per_second)} left"
        return f"{text}, {self.note}" if self.note else text


class _Rate(ProgressColumn):
    """Column of the rate in units per second."""

    def render(self, task: Task) -> Text:
        """Return the rate as text, - if it is unknown."""
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
