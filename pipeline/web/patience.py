"""How long this thread waits for services, if less than the limits of `pipeline.web.client`."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When waiting ends, in seconds of `time.monotonic`, and the most attempts per request."""

    until: float = math.inf
    attempts: int = 1000

    def left(self, longest: float) -> float:
        """Return the seconds that are left to wait, from 0 to `longest`."""
        return max(0.0, min(longest, self.until - time.monotonic()))


USUAL = Patience()
_patience: ContextVar[Patience] = ContextVar("patience", default=USUAL)


@contextmanager
def patient(seconds: float, attempts: int) -> Iterator[None]:
    """Limit the time and attempts of all requests of this thread and of threads that run in its context.

    Parameters
    ----------
    seconds
        Time from now until waiting ends. A request that is then under way fails, and none is sent later.
    attempts
        Most attempts per request; a request with a lower limit of its own keeps it.
    """
    token = _patience.set(Patience(time.monotonic() + seconds, attempts))
    try:
        yield
    finally:
        _patience.reset(token)


def current() -> Patience:
    """Return the limits that hold for this thread."""
    return _patience.get()
