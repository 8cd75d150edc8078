"""What all stand-ins share: a threaded HTTP/1.1 server in a process of its own, faults on demand, and
a count of what it was asked. GDAL's and our own threads must not wait for a server in their process.

Control: POST /control {"faults": [...], "latency": s} sets faults and clears the log; GET /control gives
the log. A fault is {"kind": ..., "match": part of the path, "times": n, "each": n}: `each`
is how many requests of every path it hits. Of kind "status" it has a status, and may have headers and a body.
"""

import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.forks import FORKS

BOMB = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9))
        + "]><x>&j;</x>").encode()  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers `respond`'s (status, headers, body), unless a fault comes first."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet: else each answer waits 40 ms for an ACK
    lock = threading.Lock()
    log: ClassVar[list[list[Any]]] = []
    faults: ClassVar[list[dict[str, Any]]] = []
    latency = 0.0
    under_way = 0
    setup_data: Any = None

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(self.path)
        if path == "/control":
            return self._control(method, body)
        begun = time.monotonic()
        with self.lock:
            Handler.under_way += 1
            together = Handler.under_way
        try:
            return self._after_faults(method, path, body, [together, begun])
        finally:
            with self.lock:
                Handler.under_way -= 1

    def _after_faults(self, method: str, path: str, body: bytes, when: list[Any]) -> None:
        time.sleep(Handler.latency)
        fault = self._fault(path)
        if fault and self._fail(fault):
            return None
        status, headers, content = self.respond(method, path, body)
        if fault:
            status, headers, content = self.spoilt(fault, status, headers, content)
        with self.lock:
            Handler.log.append([method, path, status, len(content), self.headers.get("Range", ""), *when])
        self._send(status, headers, content)
        return None

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _control(self, method: str, body: bytes) -> None:
        with self.lock:
            if method == "POST":
                order = json.loads(body)
                Handler.faults, Handler.latency = order.get("faults", []), order.get("latency", 0.0)
                Handler.log = []
            content = json.dumps(Handler.log).encode()
        self._send(200, {}, content)

    def _fault(self, path: str) -> dict[str, Any] | None:
        with self.lock:
            for fault in Handler.faults:
                if fault.get("match", "") not in path or fault.get("times", 999) <= 0:
                    continue
                hits = fault.setdefault("hits", {})
                if hits.get(path, 0) < fault.get("each", 999):
                    hits[path] = hits.get(path, 0) + 1
                    fault["times"] = fault.get("times", 999) - 1
                    return fault
        return None

    def _fail(self, fault: dict[str, Any]) -> bool:
        """Faults that need no answer; False for those that spoil one."""
        kind = fault["kind"]
        if kind == "reset":
            # Closing with a zero linger sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()
            self.close_connection = True
            self.rfile = self.wfile = open(os.devnull, "r+b")  # noqa: PTH123, SIM115
        elif kind == "status":
            with self.lock:
                Handler.log.append(["fault", self.path, fault["status"], 0, ""])
            self._send(fault["status"], fault.get("headers", {}), fault.get("body", "").encode())
        elif kind == "html":
            self._send(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")
        elif kind == "bomb":
            self._send(200, {"Content-Type": "application/xml"}, BOMB)
        elif kind == "huge":
            self.send_response(200)
            self.send_header("Content-Length", str(10 * 2**30))
            self.end_headers()
            self.close_connection = True
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            for _ in range(20_000):
                self.wfile.write(b"0" * 2**16)
        elif kind == "redirect":
            self._send(302, {"Location": fault["to"]}, b"")
        elif kind == "slow":
            time.sleep(fault["seconds"])
            return False
        else:
            return False
        return True

    def spoilt(
        self, fault: dict[str, Any], status: int, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """A half answer: with the whole one's length (`half`) or as if it were whole (`short`)."""
        if fault["kind"] == "half":
            self.close_connection = True
            return status, {**headers, "Content-Length": str(len(content))}, content[: len(content) // 2]
        if fault["kind"] == "short":
            return status, headers, content[: len(content) // 2]
        return status, headers, content


class Running:
    """A stand-in that runs, from the tests' side."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set(self, *faults: dict[str, Any], latency: float = 0.0) -> None:
        order = json.dumps({"faults": faults, "latency": latency}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/control", order)).read()

    def asked(self) -> list[list[Any]]:
        """[method, path, status, bytes, range, requests under way when it began, seconds] of every request
        since the last `set`."""
        return json.loads(urllib.request.urlopen(f"{self.url}/control").read())


@contextmanager
def running(module: str, *words: str) -> Iterator[Running]:
    """Run `tests.standins.<module>` with words for its `setup` in a process of its own."""
    command = [*FORKS.module("tests.standins.base"), module, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, f"{module} did not start"
        yield Running(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up are part of the tests


def main() -> None:
    """Serve on a free port and print it."""
    module = importlib.import_module(f"tests.standins.{sys.argv[1]}")
    # This file runs as __main__: the module's Handler derives from the imported one.
    server = _Server(("127.0.0.1", 0), module.Answering)
    module.Answering.setup_data = module.prepare(f"http://127.0.0.1:{server.server_port}", *sys.argv[2:])
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
