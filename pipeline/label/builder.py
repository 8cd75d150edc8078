"""A process beside the studio's server. It loads nothing of the server, so that it starts soon."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any


class Builder:
    """A process beside the server that builds regions; a new one where it was killed, as for its memory."""

    def __init__(self) -> None:
        self.pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_the_server)

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        try:
            return self.pool.submit(work, *given)
        except BrokenExecutor:
            self.pool = self._started()
            return self.pool.submit(work, *given)


def _end_with_the_server() -> None:
    """However the server ends, what it started ends with it."""
    server = parent_process()
    assert server is not None

    def wait() -> None:
        server.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
