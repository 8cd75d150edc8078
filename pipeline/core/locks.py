"""One run at a time: two of one stage over the same benchmark would take each other's files away.

A lock is the operating system's, on a file under data/<benchmark>/locks. It ends with the process that
holds it, however that ends, so no lock of a killed run is ever left; the file stays and says who had it.
"""

import fcntl
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pipeline.core.errors import WorkError

_held: list[IO[str]] = []
"""Open files keep their locks until the process ends."""


def take(path: Path, what: str) -> None:
    """Hold the lock of a file until this process ends. WorkError names who holds it already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise WorkError(
            f"{what} is at work already, {_holder(file.read())}: wait for it, or end it."
        ) from None
    file.truncate(0)
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    command = " ".join(["minebench", *sys.argv[1:]])
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}, file)
    file.flush()
    _held.append(file)


def _holder(told: str) -> str:
    try:
        by = json.loads(told)
        return f"process {by['pid']} on {by['host']} since {by['since']} (`{by['command']}`)"
    except (ValueError, KeyError, TypeError):
        return "in another process"
