"""One run at a time: two of one stage over the same benchmark would take each other's files away.

A lock is the operating system's, on a file under data/<benchmark>/logs. It ends with the process that
holds it, however that ends, so no lock of a killed run is ever left; the file stays and says who had it.
"""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from minebench.errors import WorkError

PATIENCE_S = 1.0
"""The processes of a killed command end with it, but a moment later."""
HELD: set[tuple[int, str]] = set()
"""Locks of a process, by its number: a command may be several stages."""


@contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file meanwhile. WorkError names who else holds it already."""
    lock = take(path, what)
    try:
        yield
    finally:
        if lock is not None:
            HELD.discard(_own(path))
            os.close(lock)


def take(path: Path, what: str) -> int | None:
    """Hold the lock of a file until this process ends, which may ask for it again, or closes the number that
    is returned; None where the process holds it already. WorkError names who else does."""
    if _own(path) in HELD:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # open for as long as the process lives
    if not _held(lock):
        holder = os.read(lock, 4096).decode(errors="replace")
        os.close(lock)
        raise WorkError(f"{what} is at work already, {_holder(holder)}: wait for it, or end it.") from None
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    command = " ".join(["minebench", *sys.argv[1:]])
    this_run = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}
    os.truncate(lock, 0)
    os.write(lock, json.dumps(this_run).encode())
    HELD.add(_own(path))
    return lock


def _own(path: Path) -> tuple[int, str]:
    return os.getpid(), str(path.absolute())


def _held(lock: int) -> bool:
    """Whether an open file's lock could be had, within the patience that there is."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(PATIENCE_S / 20)


def _holder(text: str) -> str:
    try:
        by = json.loads(text)
        return f"process {by['pid']} on {by['host']} since {by['since']} (`{by['command']}`)"
    except (ValueError, KeyError, TypeError):
        return "in another process"
