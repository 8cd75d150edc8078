"""How many heaps the threads of a process share."""

import ctypes
import os

M_ARENA_MAX = -8
"""Of glibc's mallopt."""


def one_a_core() -> None:
    """glibc keeps eight, and what was freed in one is of no use to the threads of another: on two cores
    `fetch` held 600 MB, and holds 420. Nothing where the C library is another, or the user has set it."""
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, os.cpu_count() or 1)
    except (AttributeError, OSError, TypeError):
        return
