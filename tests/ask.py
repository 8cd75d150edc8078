"""Ask the process of `tests.forks` for a command; as a script, stand for that command.

The script starts at once, as it imports nothing else.

    python -S -E tests/ask.py ADDRESS MODULE [WORD]...
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path


def ask(
    address: str, words: list[str], cwd: Path, streams: tuple[int, int], timeout: float | None = None,
    signals: tuple[signal.Signals, ...] = (),
) -> int:  # fmt: skip
    """Have a command run whose stdout and stderr are these open files, pass on signals to it, and return its
    exit status."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(timeout)
        wire.connect(address)
        for each in signals:
            signal.signal(each, lambda number, _frame: wire.sendall(bytes([number])))
        send(wire, words, cwd, streams)
        return status_of(wire)


def send(wire: socket.socket, words: list[str], cwd: Path, streams: tuple[int, int]) -> None:
    """Send a command over a connection. Each byte sent after it is the number of a signal to the command."""
    socket.send_fds(wire, [b"\0"], streams)
    request = {"words": words, "cwd": str(cwd), "env": dict(os.environ)}
    wire.sendall(json.dumps(request).encode() + b"\n")


def status_of(wire: socket.socket) -> int:
    """Wait for the command's end, and return its exit status, which is negative after a signal."""
    return int(json.loads(wire.makefile().readline())["status"])


if __name__ == "__main__":
    status = ask(sys.argv[1], sys.argv[2:], Path.cwd(), (1, 2), signals=(signal.SIGINT, signal.SIGTERM))
    sys.exit(status if status >= 0 else 128 - status)
