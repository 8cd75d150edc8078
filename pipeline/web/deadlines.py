"""HTTP connections with a deadline for the whole answer, however slowly a server sends it.

A socket's own timeout starts again with each byte. Here every read of an answer (status line, headers, chunk
lengths, body) may take no longer than the time that is left for the whole answer.
"""

import http.client
import io
import math
import threading
import time
from functools import lru_cache
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection


class Clock(threading.local):
    """The deadline of the answer that this thread reads."""

    until = math.inf
    """When the answer must be complete, in seconds of `time.monotonic`."""
    silence = math.inf
    """Longest time without a byte, seconds."""

    def start(self, whole: float, silence: float) -> None:
        """Allow the next answer `whole` seconds from now, and `silence` seconds without a byte."""
        self.until, self.silence = time.monotonic() + whole, silence

    @property
    def is_over(self) -> bool:
        # A socket's timeout may fire slightly before the deadline.
        return time.monotonic() >= self.until - 0.01

    def seconds(self) -> float:
        """Return how many seconds a read may wait. TimeoutError where none are left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer's time is over")
        return min(left, self.silence)


CLOCK = Clock()


class _TimedReader(io.RawIOBase):
    """The reading end of a socket, which sets the socket's timeout from the clock before each read."""

    def __init__(self, raw: Any, sock: Any) -> None:
        self.raw, self.sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self.sock.settimeout(CLOCK.seconds())
        read: int | None = self.raw.readinto(buffer)
        return read

    def fileno(self) -> int:
        return int(self.raw.fileno())

    def close(self) -> None:
        self.raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer that is read through `_TimedReader`, from its status line on."""

    def __init__(self, sock: Any, *words: Any, **options: Any) -> None:
        super().__init__(sock, *words, **options)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class TimedAdapter(HTTPAdapter):
    """Adapter for `requests` whose connections (plain, TLS, through proxies) keep to the clock."""

    def get_connection_with_tls_context(self, *words: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*words, **options)
        pool.ConnectionCls = _timed(pool.ConnectionCls)
        return pool


@lru_cache(maxsize=16)
def _timed(connection_class: type[HTTPConnection]) -> type[HTTPConnection]:
    """Return a subclass of a connection class whose answers keep to the clock."""
    if getattr(connection_class, "response_class", None) is _TimedResponse:
        return connection_class
    return type(f"Timed{connection_class.__name__}", (connection_class,), {"response_class": _TimedResponse})
