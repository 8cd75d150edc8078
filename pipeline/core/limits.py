"""What a service takes: requests at once and requests a second.

Limits hold for this process or, once it has joined a Dask cluster as a worker, for the cluster as a whole:
its scheduler then hands out the leases.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Rate:
    """Requests a second that a provider's documentation allows, and where it says so."""

    per_second: float
    source: str


_EARTH_ENGINE = Rate(100, "developers.google.com/earth-engine/guides/usage: 100 requests/s a project")
_QUOTAS = "documentation.dataspace.copernicus.eu/Quotas.html, general users"
RATES = {
    "earthengine.googleapis.com": _EARTH_ENGINE,
    "earthengine-highvolume.googleapis.com": _EARTH_ENGINE,
    "dataspace.copernicus.eu": Rate(2000 / 60, f"{_QUOTAS}: 2000 requests/min of S3, OData and STAC"),
    "sh.dataspace.copernicus.eu": Rate(300 / 60, f"{_QUOTAS}: 300 requests/min of Sentinel Hub"),
}
"""Hosts and domains with a documented rate. A host keeps the rate of the longest name here that it is or
lies under, together with all other hosts of that name. Others are asked as fast as they answer, and slower
when they say so; no documented rate was found for Earth Search, Planetary Computer or Landsat Look."""

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


def keep_rate(host: str) -> None:
    """Until a request to a host may start, where its provider's documentation states a rate."""
    parts = host.partition(":")[0].split(".")
    names = (".".join(parts[first:]) for first in range(len(parts)))
    if (name := next((name for name in names if name in RATES), None)) is not None:
        wait_for_turn(name, RATES[name].per_second)


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


# What goes over the wire, counted and watched by whoever asks; loads nothing of the network.


@dataclass
class Traffic:
    """What went over the wire: requests sent (retries among them) and bytes of bodies received."""

    requests: int = 0
    retries: int = 0
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, requests: int = 0, retries: int = 0, received: int = 0) -> None:
        with self.lock:
            self.requests += requests
            self.retries += retries
            self.received += received


_traffic: ContextVar[Traffic | None] = ContextVar("traffic", default=None)


@contextmanager
def counting(traffic: Traffic) -> Iterator[None]:
    """Count this thread's requests into `traffic`."""
    token = _traffic.set(traffic)
    try:
        yield
    finally:
        _traffic.reset(token)


def count(**amounts: int) -> None:
    """Add to what this thread counts into, if anything."""
    if traffic := _traffic.get():
        traffic.add(**amounts)


@dataclass(frozen=True)
class Sighting:
    """An answer as it came, of any status: its address without a query, its headers (lower-case names), and
    the seconds until it began."""

    url: str
    status: int
    headers: dict[str, str] = field(repr=False)
    seconds: float = 0.0


_watcher: ContextVar[Callable[[Sighting], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(see: Callable[[Sighting], None]) -> Iterator[None]:
    """Show `see` every answer to this thread's requests; threads with its context may call it at once."""
    token = _watcher.set(see)
    try:
        yield
    finally:
        _watcher.reset(token)


def saw(sighting: Sighting) -> None:
    """Show an answer to who watches, if anybody."""
    if see := _watcher.get():
        see(sighting)
