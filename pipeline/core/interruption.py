"""Ctrl-C and SIGTERM: a command ends within two seconds, with one sentence and the status of its signal.

Work in threads is not waited for: every output is written under a temporary name first, so what is half
done is done again by the next run, as after any kill.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

GRACE_S = 1.0
"""How long the main thread may take to leave what it is in."""
SHOW_CURSOR = "\x1b[?25h"
_ending = threading.Lock()


class Interrupted(BaseException):
    """The user, or whoever runs the command, asked it to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def watch() -> None:
    """From now on both signals raise `Interrupted` in the main thread. A process whose main thread is
    deep in a library, or waits for other threads, is ended by a thread of its own."""
    told, tell = socket.socketpair()
    tell.setblocking(False)
    if sys.platform == "linux":
        # numcodecs makes a lock for processes. As one for forks, the default before Python 3.14, it leaves
        # nothing behind that Python would complain about when a command ends at once.
        multiprocessing.set_start_method("fork", force=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise)
    sys.unraisablehook = partial(_say_unless_interrupted, sys.unraisablehook)
    signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(told, tell), name="minebench interruption", daemon=True).start()


def _raise(number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not break into what ends the process; that is under way.
    for further in (signal.SIGINT, signal.SIGTERM):
        signal.signal(further, signal.SIG_IGN)
    raise Interrupted(number)


def _say_unless_interrupted(say: Callable[[Any], object], lost: Any) -> None:
    """Pass on what Python cannot raise, but `Interrupted`: where a signal comes within a weak reference's
    callback, the thread of `watch` ends the process."""
    if not isinstance(lost.exc_value, Interrupted):
        say(lost)


@contextmanager
def deferred() -> Iterator[None]:
    """Let a signal take effect after the block, if it comes during it: an exception that is raised in one of
    the hooks that Python calls around a fork would be printed and lost.

    Do nothing in other threads than the main one, which have no handlers, and beside handlers that are not
    Python's."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    foreign = None in [signal.getsignal(number) for number in numbers]
    if foreign or threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    handlers = [signal.signal(number, lambda number, _frame: pending.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        if pending:
            signal.raise_signal(pending[0])


def _end_late(told: socket.socket, _kept_open: socket.socket) -> None:
    numbers = {int(signal.SIGINT), int(signal.SIGTERM)}
    while not (found := numbers.intersection(told.recv(64))):
        pass
    time.sleep(GRACE_S)
    end(min(found))


def end(number: int) -> NoReturn:
    """End the process at once, other threads or not, with 128 and the signal's number."""
    _ending.acquire()  # and keep it: the sentence comes once
    cursor = SHOW_CURSOR + "\n" if sys.stderr.isatty() else ""
    message = f"{cursor}minebench: Interrupted; run the same command again to go on.\n"
    os.write(2, message.encode())
    os._exit(128 + number)
