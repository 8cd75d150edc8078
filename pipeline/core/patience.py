"""How long this thread waits for services: without a word as long as `pipeline.core.web` says, else less."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When waiting ends (`time.monotonic`), and how often a request is tried."""

    until: float = math.inf
    attempts: int = 1000

    def left(self, longest: float) -> float:
        """Return the seconds that may still be waited, `longest` at most and never less than 0."""
        return max(0.0, min(longest, self.until - time.monotonic()))


USUAL = Patience()
_patience: ContextVar[Patience] = ContextVar("patience", default=USUAL)


@contextmanager
def patient(seconds: float, attempts: int) -> Iterator[None]:
    """Within it all requests of this thread, and of threads with its context, end in so many seconds.

    Parameters
    ----------
    seconds
        From now on; a request that is under way then fails, and none is sent after it.
    attempts
        Tries of a request, where it would have more.
    """
    token = _patience.set(Patience(time.monotonic() + seconds, attempts))
    try:
        yield
    finally:
        _patience.reset(token)


def current() -> Patience:
    """Return the patience of this thread."""
    return _patience.get()
