"""A stage's work in processes of this machine.

Threads that open and close many small files wait for Python's lock: two of them used 1.3 of two cores
(docs/decisions/0032). Forked processes begin with everything loaded.

A fork copies every lock as it is, and of all threads only the one that forks. So processes are forked only
while no thread runs but those of this package, none of which is at work then; where a program has threads
of its own (a notebook, a server), sites are worked on in threads. What a new process writes to is opened
anew: the thread that shows progress might have been writing.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from minebench import progress
from minebench.errors import Lost
from pipeline.core import interruption

ARE_KNOWN = sys.platform == "linux"
"""Elsewhere libraries do not bear to be forked, and nothing ends the processes of a killed command."""
QUIET = ("minebench ", "rich.live")
"""How names, or modules, of threads begin that run beside a fork: ours, and the one that draws progress."""
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl."""


def foreign_threads() -> list[str]:
    """Return the names of Python's threads beside this one that are not known to be at rest."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    return [
        thread.name
        for thread in others
        if not thread.name.startswith(QUIET) and not type(thread).__module__.startswith(QUIET)
    ]


@contextmanager
def forked(workers: int) -> Iterator["Forks"]:
    """Fork so many processes now: no other thread may be in the middle of anything."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _begin, (os.getpid(),)) as pool:
        with interruption.deferred(), warnings.catch_warnings():
            # From Python 3.12 on, of any thread; the caller has looked at which there are.
            warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
            pool.submit(os.getpid)  # the first task starts them all
        try:
            yield Forks(pool, workers)
        finally:
            pool.shutdown(cancel_futures=True)


class Forks:
    """Submits tasks to the processes, as `pipeline.core.cluster.Cluster` does to a cluster's workers."""

    share_the_log = True

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self.pool, self.threads = pool, workers

    def submit(self, work: Callable[[Any], Any], task: Any) -> Any:
        """A future of `work(task)`."""
        with _watched():
            return self.pool.submit(work, task)

    def result(self, future: Any, _what: str) -> Any:
        """What a future came to."""
        with _watched():
            return future.result()


@contextmanager
def _watched() -> Iterator[None]:
    """Lost where a process was ended: nobody knows over which task."""
    try:
        yield
    except BrokenProcessPool:
        raise Lost(
            "A process that worked on sites was ended from outside, most often because memory ran out: "
            "lower `workers` in params.yaml, and run the same command to go on."
        ) from None


def _begin(parent: int) -> None:
    """In a new process: it ends with the command, which alone answers to Ctrl-C."""
    progress.silence()
    _write_to_new_streams()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # ended before we asked to be told
        os._exit(1)


_INHERITED: list[Any] = []
"""Streams of the parent: to close one, as the garbage collector would, takes its lock."""


def _write_to_new_streams() -> None:
    """Replace standard output, errors and the log's files, whose locks a thread may have held at the fork."""
    before = sys.stdout, sys.stderr
    _INHERITED.extend(before)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is not None:  # where it is closed the number may be another file's
            setattr(sys, name, os.fdopen(number, "w", 1, closefd=False))
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            _INHERITED.append(handler.stream)
            again = os.open(handler.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            handler.stream = os.fdopen(again, "a", encoding=handler.encoding)
        elif isinstance(handler, logging.StreamHandler) and handler.stream in before:
            handler.stream = sys.stderr
