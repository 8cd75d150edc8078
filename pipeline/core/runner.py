"""The work of a stage, site by site: skipped where it is done, spread over threads or a Dask cluster."""

import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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

    def is_done(self, task: Task) -> bool:
        """Whether the output is there, and of the task's inputs."""
        return receipts.key_in(self.receipt(task)) == self.key(task) and self.is_sound(task)

    def take(self, task: Task) -> tuple[Result, bool]:
        """The result of an output that is there, and that it had not to be made."""
        return self.kept(task), False

    def __call__(self, task: Task) -> tuple[Result, bool]:
        """The result, and that its output had to be made."""
        return self.make(task, self.key(task)), True


def prune(folder: Path, keep: Collection[str]) -> None:
    """Make a stage's folder, and remove the subfolders in it that are of no site any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and path.name not in keep:
            shutil.rmtree(path)


def each_site(
    stage: str, tasks: Sequence[Task], work: Callable[[Task], Result], spread: Spread
) -> list[Result]:
    """`work` on every task, results in the tasks' order.

    One site's failure does not stop the others: the first one is raised at the end, the log has
    all, and the next run takes up just those sites. Results should be small; arrays go to files.
    """
    with progress(stage, len(tasks), "sites") as advance:
        outcomes = _outcomes(tasks, work, spread, advance)
    return _results(outcomes)


def each_step(step: Step[Task, Result], tasks: Sequence[Task], spread: Spread) -> list[tuple[Result, bool]]:
    """`step` for every task, results in the tasks' order, each with whether its output had to be made.
    What is done is found first, here; only the rest is spread. Failures as in `each_site`."""
    with progress(step.name, len(tasks), "sites") as advance:
        outcomes: list[Outcome | None] = []
        with ThreadPoolExecutor(spread.workers) as pool:
            for outcome in pool.map(partial(_taken, step), tasks):
                outcomes.append(outcome)
                if outcome is not None:
                    advance()
        open_ = [task for task, outcome in zip(tasks, outcomes, strict=True) if outcome is None]
        made = iter(_outcomes(open_, step, spread, advance) if open_ else [])
        found = [next(made) if outcome is None else outcome for outcome in outcomes]
    return _results(found)


def _taken(step: Step[Any, Any], task: Any) -> Outcome | None:
    """The outcome of a task that is done or whose check failed; None where it is to be made."""
    done, error = _guarded(step.is_done, task)
    if error:
        return None, error
    return _guarded(step.take, task) if done else None


def _outcomes(
    tasks: Sequence[Any], work: Callable[[Any], Any], spread: Spread, advance: Callable[[], None]
) -> list[Outcome]:
    run = _on_cluster if spread.scheduler else _in_threads
    return run(tasks, work, spread, advance)


def _results(outcomes: list[Outcome]) -> list[Any]:
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
