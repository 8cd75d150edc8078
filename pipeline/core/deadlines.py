"""Connections whose answers end in time, however slowly a server sends them.

A socket's own timeout begins anew with each byte. Here each read of an answer, its status line, its headers
and the lengths of its chunks too, gets no more time than is left of the whole answer's.
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
    """The time of this thread's answer: when it must be whole, and how long its next bytes may take."""

    until = math.inf
    silence = math.inf

    def start(self, whole: float, silence: float) -> None:
        """Give an answer so many seconds from now on, and so many without a byte."""
        self.until, self.silence = time.monotonic() + whole, silence

    @property
    def is_over(self) -> bool:
        # A wait may end a moment before its time.
        return time.monotonic() >= self.until - 0.01

    def seconds(self) -> float:
        """Return how long a read may wait. TimeoutError where there is no time left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer's time is over")
        return min(left, self.silence)


CLOCK = Clock()


class _TimedReader(io.RawIOBase):
    """A socket's reading end, which asks the clock before each read."""

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
    def __init__(self, sock: Any, *words: Any, **options: Any) -> None:
        super().__init__(sock, *words, **options)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class TimedAdapter(HTTPAdapter):
    """Connections of every kind (plain, TLS, through proxies) whose reads ask the clock."""

    def get_connection_with_tls_context(self, *words: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*words, **options)
        pool.ConnectionCls = _timed(pool.ConnectionCls)
        return pool


@lru_cache(maxsize=16)
def _timed(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    """A kind of connection with timed answers."""
    if getattr(kind, "response_class", None) is _TimedResponse:
        return kind
    return type(f"Timed{kind.__name__}", (kind,), {"response_class": _TimedResponse})
