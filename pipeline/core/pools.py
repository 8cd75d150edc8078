"""Threads for all sites of a process. They live on, and with them their open connections and what GDAL and
PROJ set up for each."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache


@lru_cache(maxsize=8)
def pool(name: str, threads: int) -> ThreadPoolExecutor:
    """So many threads for one kind of work."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"minebench {name}")


os.register_at_fork(after_in_child=pool.cache_clear)  # a forked process has none of them
