"""A stage's work on a Dask cluster: one file system for all, and one sentence for what can go wrong there."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from distributed import Client, get_worker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from minebench import __version__
from minebench.errors import Lost, WorkError
from pipeline.core import limits

LOST = (FutureCancelledError, CommClosedError, TimeoutError, OSError)
CONNECT_S = 10
"""How long a scheduler is tried."""


@contextmanager
def connected(address: str) -> Iterator["Cluster"]:
    """The cluster of the scheduler at `address`, all of whose workers see this folder. WorkError where no
    scheduler answers, or a worker sees another folder."""
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkError(f"No Dask scheduler answers at {address}: {str(error).rstrip('.')}.") from None
    # Every worker must find this file under the same name: late ones look for it at their first task.
    mark = Path.cwd() / f".cluster-{uuid.uuid4().hex}"
    try:
        mark.touch()
        cluster = Cluster(address, client, mark)
        cluster.check()
        yield cluster
    finally:
        mark.unlink(missing_ok=True)
        client.close(timeout=2)


class Cluster:
    """Submits tasks to a scheduler's workers."""

    share_the_log = False

    def __init__(self, address: str, client: Client, mark: Path) -> None:
        self.address, self.client, self.mark = address, client, mark

    def check(self) -> None:
        """WorkError where one of the workers there are sees another folder, or another minebench."""
        try:
            with self.watched():
                found = self.client.run(_unlike, str(self.mark), __version__)
        except ImportError:
            raise WorkError(
                f"A worker of {self.address} has no minebench: start its workers in an environment like this."
            ) from None
        for worker, sentence in found.items():
            if sentence:
                raise WorkError(f"The worker at {worker} {sentence}")

    @property
    def threads(self) -> int:
        """Tasks that the workers can do at a time."""
        with self.watched():
            return max(1, sum(self.client.nthreads().values()))

    def submit(self, work: Callable[[Any], Any], task: Any) -> Any:
        """A future of `work(task)`, done in this folder on any worker."""
        with self.watched():
            return self.client.submit(partial(_there, str(self.mark), work), task, pure=False)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Say it in a sentence where the scheduler is gone."""
        try:
            yield
        except LOST as error:
            raise Lost(
                f"The Dask scheduler at {self.address} was lost ({type(error).__name__}): start it again, "
                "and run the same command to go on."
            ) from None

    def result(self, future: Any, what: str) -> Any:
        """What a future came to. WorkError where its workers died over it, or the scheduler is gone."""
        try:
            with self.watched():
                return future.result()
        except KilledWorker as error:
            raise WorkError(
                f"{what}: workers died over it one after the other ({error.last_worker.address} last), "
                "probably of too little memory: give workers more memory or fewer threads, and run the "
                "command again."
            ) from None


def _unlike(mark: str, version: str) -> str:
    """What of this worker is not as it must be; empty where all is well."""
    if not Path(mark).is_file():
        return (
            f"on {os.uname().nodename} does not see {Path(mark).parent}: all workers need this folder under "
            "this path, on a file system that they share."
        )
    if version != __version__:
        return f"on {os.uname().nodename} has minebench {__version__}, not {version}: install the same."
    return ""


def _there(mark: str, work: Callable[[Any], Any], task: Any) -> Any:
    """`work(task)` on a worker, in the folder of the command that asked for it."""
    if sentence := _unlike(mark, __version__):
        return None, WorkError(f"A worker {sentence}")
    os.chdir(Path(mark).parent)
    limits.join(get_worker())
    return work(task)
