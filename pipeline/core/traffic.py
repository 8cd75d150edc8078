"""What goes over the wire, counted and watched by whoever asks; loads nothing of the network."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


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
