"""Work in a process of its own. Linux hands `ru_maxrss` on: the peak of a process that is started counts for
at least that of the one that starts it, so a benchmark of memory stays small itself."""

from collections.abc import Callable
from multiprocessing import get_context
from typing import Any


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """What `work`, a function of a module, returns."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)
