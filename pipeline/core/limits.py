"""What a service takes: requests at once and requests a second.

Limits hold for this process or, once it has joined a Dask cluster as a worker, for the cluster as a whole:
its scheduler then hands out the leases.
"""

import threading
import time
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

_joined: dict[str, Any] = {}
"""The Dask worker that this process is, under `worker`."""


def join(worker: Any) -> None:
    """From now on share the limits of a Dask cluster, as one of its workers."""
    if _joined.get("worker") is not worker:
        _joined["worker"] = worker
        gate.cache_clear()
        _turn.cache_clear()


def threads_for(parallel: int) -> int:
    """Threads that may wait for a service in this process: as many as requests at once; on a cluster no
    more than the worker has."""
    worker = _joined.get("worker")
    return parallel if worker is None else min(parallel, worker.state.nthreads)


@lru_cache(maxsize=64)
def gate(host: str, parallel: int) -> AbstractContextManager[Any]:
    """To be held while a request to a host is under way; `parallel` may hold it at a time."""
    return _leases(f"{host} at once", parallel) if _joined else threading.BoundedSemaphore(parallel)


def wait_for_turn(host: str, per_second: float) -> None:
    """Until the next request may start: never more than `per_second` a second to one host."""
    if _joined:
        with _turn(host):
            time.sleep(1 / per_second)
        return
    lock, free = _own_turns(host)
    with lock:
        turn = max(time.monotonic(), free[0])
        free[0] = turn + 1 / per_second
    time.sleep(max(0.0, turn - time.monotonic()))


@lru_cache(maxsize=16)
def _own_turns(_host: str) -> tuple[threading.Lock, list[float]]:
    """A host's lock and the time of its next free turn."""
    return threading.Lock(), [0.0]


@lru_cache(maxsize=16)
def _turn(host: str) -> AbstractContextManager[Any]:
    return _leases(f"{host} turn", 1)


def _leases(name: str, most: int) -> AbstractContextManager[Any]:
    from distributed import Semaphore

    worker = _joined["worker"]
    found: AbstractContextManager[Any] = Semaphore(
        most, name=f"minebench {name} {most}", scheduler_rpc=worker.scheduler, loop=worker.loop
    )
    return found
