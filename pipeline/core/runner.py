"""The work of a stage, site by site: skipped where it is done, spread over threads or a Dask cluster."""

import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.core import receipts
from pipeline.core.errors import InputError, MinebenchError, WorkError
from pipeline.core.progress import progress

log = logging.getLogger(__name__)
Task = TypeVar("Task")
Result = TypeVar("Result")
Outcome = tuple[Any, MinebenchError | None]


@dataclass(frozen=True)
class Spread:
    """How work is spread: so many threads, or a Dask cluster by its scheduler's address."""

    workers: int
    scheduler: str | None = None


def _always(_task: Any) -> bool:
    return True


@dataclass(frozen=True)
class Step(Generic[Task, Result]):
    """What a stage does for one site. All are functions of a module, so that a cluster can call them.

    `key` names a task's inputs and the versions of the arithmetic; `receipt` is the file, written last,
    that carries the key of the output there; `make` makes the output, key included; `kept` is the result
    of an output of the same key. `is_sound` may look closer at an output before it is kept.
    """

    name: str
    key: Callable[[Task], str]
    receipt: Callable[[Task], Path]
    make: Callable[[Task, str], Result]
    kept: Callable[[Task], Result]
    is_sound: Callable[[Task], bool] = _always

    def __call__(self, task: Task) -> tuple[Result, bool]:
        """The task's result, and whether its output had to be made."""
        key = self.key(task)
        if receipts.key_in(self.receipt(task)) == key and self.is_sound(task):
            return self.kept(task), False
        return self.make(task, key), True


def prune(folder: Path, keep: Collection[str]) -> None:
    """Make a stage's folder, and remove the subfolders in it that are of no site any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in keep:
            shutil.rmtree(path)


def each_site(
    stage: str, tasks: Sequence[Task], work: Callable[[Task], Result], spread: Spread
) -> list[Result]:
    """`work` (a `Step`, or any function of a module) on every task, results in the tasks' order.

    One site's failure does not stop the others: the first one is raised at the end, the log has
    all, and the next run takes up just those sites. Results should be small; arrays go to files.
    """
    with progress(stage, len(tasks), "sites") as advance:
        run = _on_cluster if spread.scheduler else _in_threads
        outcomes = run(tasks, work, spread, advance)
    failed = [error for _, error in outcomes if error]
    if failed:
        more = f" (and {len(failed) - 1} more sites failed; see the log)" if len(failed) > 1 else ""
        # Wrong input is wrong for every site: it goes before what went wrong on the way.
        first = next((error for error in failed if isinstance(error, InputError)), failed[0])
        raise type(first)(f"{str(first).rstrip('.')}{more}.")
    return [result for result, _ in outcomes]


def _guarded(work: Callable[[Any], Any], task: Any) -> Outcome:
    """The result, or the failure; every failure goes to the log, a defect with its trace."""
    try:
        return work(task), None
    except MinebenchError as error:
        log.error("%s", error)
        return None, error
    except Exception as error:
        log.exception("unexpected failure")
        return None, WorkError(f"{type(error).__name__}: {error}; this is a defect, the log has its trace")


def _in_threads(
    tasks: Sequence[Any], work: Callable[[Any], Any], spread: Spread, advance: Callable[[], None]
) -> list[Outcome]:
    # Here and not above: a stage that needs only receipts does without Dask.
    import dask
    from dask.callbacks import Callback

    delayed = [dask.delayed(_guarded, pure=False)(work, task) for task in tasks]
    with Callback(posttask=lambda *_: advance()):
        return list(dask.compute(*delayed, scheduler="threads", num_workers=spread.workers))


def _on_cluster(
    tasks: Sequence[Any], work: Callable[[Any], Any], spread: Spread, advance: Callable[[], None]
) -> list[Outcome]:
    from distributed import Client, as_completed

    try:
        client = Client(spread.scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise WorkError(f"No Dask scheduler answers at {spread.scheduler}: {error}.") from None
    with client:
        futures = [client.submit(_guarded, work, task, pure=False) for task in tasks]
        for _ in as_completed(futures):
            advance()
        return list(client.gather(futures))
