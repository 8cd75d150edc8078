"""Memory, threads and matrix products of a process.

How the C library keeps memory: what glibc, or Dask, does by itself suits threads and arrays badly.

Nothing here does anything where the C library is another, or the user has set it.
"""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from threadpoolctl import threadpool_limits

from minebench import cores

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of glibc's mallopt."""
OF_DASK = "65536"
"""What Dask sets MALLOC_TRIM_THRESHOLD_ to in the workers that it starts."""
TRIM, LARGEST = 64 << 20, 32 << 20
"""Freed bytes that are kept, and the largest array that is not mapped on its own: glibc's own upper ends."""


def one_a_core() -> None:
    """Heaps that threads share. glibc keeps eight a core, and what was freed in one is of no use to the
    threads of another: on two cores `fetch` held 600 MB, and holds 420."""
    if "MALLOC_ARENA_MAX" not in os.environ:
        _set(M_ARENA_MAX, cores.count())


def keep_freed() -> None:
    """In a worker of Dask's. It has every 64 KB that is freed given back, and with it every array of 128 KB
    mapped anew: a site of the synthetic archive took 7.1 s instead of 3.2."""
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") == OF_DASK:
        _set(M_TRIM_THRESHOLD, TRIM)
        _set(M_MMAP_THRESHOLD, LARGEST)


def _set(what: int, value: int) -> None:
    try:
        ctypes.CDLL(None).mallopt(what, value)
    except (AttributeError, OSError, TypeError):
        return


# Threads for all sites of a process. They live on, and with them their open connections and what GDAL and
# PROJ set up for each.


@lru_cache(maxsize=8)
def pool(name: str, threads: int) -> ThreadPoolExecutor:
    """So many threads for one kind of work."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"minebench {name}")


os.register_at_fork(after_in_child=pool.cache_clear)  # a forked process has none of them

# Where matrix products are made.


def in_this_thread() -> Any:
    """Matrix products in the thread that asks for them, until it is left. A BLAS with threads of its own has
    them wait for one another, spinning: on two busy cores a date's shift took 240 ms instead of 6."""
    return threadpool_limits(1, "blas")
