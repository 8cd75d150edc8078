"""A stage's work in processes of this machine.

Threads that open and close many small files wait for Python's lock: two of them used 1.3 of two cores
(docs/decisions/0032). Forked processes begin with everything loaded.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from pipeline.core import progress
from pipeline.core.errors import Lost

ARE_SAFE = sys.platform == "linux"
"""Elsewhere libraries do not bear to be forked, and nothing ends the processes of a killed command."""
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl."""


@contextmanager
def forked(workers: int) -> Iterator["Forks"]:
    """So many processes, forked now: no other thread may be in the middle of anything."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _begin, (os.getpid(),)) as pool:
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
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # ended before we asked to be told
        os._exit(1)
