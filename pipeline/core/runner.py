"""Work spread by site over Dask: threads here, or a cluster by its scheduler's address."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dask
from dask.callbacks import Callback

from pipeline.core.errors import InputError, MinebenchError, WorkError
from pipeline.core.progress import progress

log = logging.getLogger(__name__)
Task = TypeVar("Task")
Result = TypeVar("Result")
Outcome = tuple[Any, MinebenchError | None]


def each_site(
    stage: str,
    tasks: Sequence[Task],
    work: Callable[[Task], Result],
    workers: int,
    scheduler: str | None = None,
) -> list[Result]:
    """`work` on every task, results in the tasks' order.

    One site's failure does not stop the others: the first one is raised at the end, the log has
    all, and the next run takes up just those sites. Results should be small; arrays go to files.
    """
    with progress(stage, len(tasks), "sites") as advance:
        if scheduler:
            outcomes = _on_cluster(tasks, work, scheduler, advance)
        else:
            delayed = [dask.delayed(_guarded, pure=False)(work, task) for task in tasks]
            with Callback(posttask=lambda *_: advance()):
                outcomes = list(dask.compute(*delayed, scheduler="threads", num_workers=workers))
    failed = [error for _, error in outcomes if error]
    if failed:
        more = f" (and so {len(failed) - 1} more sites; see the log)" if len(failed) > 1 else ""
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


def _on_cluster(
    tasks: Sequence[Any], work: Callable[[Any], Any], scheduler: str, advance: Callable[[], None]
) -> list[Outcome]:
    from distributed import Client, as_completed

    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise WorkError(f"No Dask scheduler answers at {scheduler}: {error}.") from None
    with client:
        futures = [client.submit(_guarded, work, task, pure=False) for task in tasks]
        for _ in as_completed(futures):
            advance()
        return list(client.gather(futures))
