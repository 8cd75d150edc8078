"""What goes over the wire, counted by whoever asks; loads nothing of the network."""

import threading
from collections.abc import Iterator
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
