"""The work of a stage, site by site: skipped where it is done, spread over processes or a Dask cluster."""

import logging
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from minebench import receipts
from minebench.errors import InputError, Lost, MinebenchError, WorkError, explained
from minebench.progress import progress
from pipeline.core import forks, log_file, threads

log = logging.getLogger(__name__)
Task = TypeVar("Task")
Result = TypeVar("Result")
Outcome = tuple[Any, MinebenchError | None]


@dataclass(frozen=True)
class Spread:
    """How work is spread: so many processes of this machine, or a Dask cluster by its scheduler's address.
    `in_threads` instead of processes, where sites share the connections to a service and its limits."""

    workers: int
    scheduler: str | None = None
    in_threads: bool = False


class Tasks(Generic[Task]):
    """A task for each item, made when its turn comes: thousands of tables' parts are never held at once."""

    def __init__(self, items: Sequence[Any], make: Callable[[Any], Task]) -> None:
        self.items, self.make = items, make

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Task]:
        return map(self.make, self.items)


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


def prune(folder: Path, keep: Collection[str]) -> list[str]:
    """Make a stage's folder, remove the subfolders in it that are of no site any more, and return their
    names."""
    folder.mkdir(parents=True, exist_ok=True)
    gone = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in keep)
    for name in gone:
        shutil.rmtree(folder / name)
    return gone


def each_site(
    stage: str, tasks: Sequence[Task] | Tasks[Task], work: Callable[[Task], Result], spread: Spread
) -> Iterator[Result]:
    """`work` on every task, results in the tasks' order and as they come: few are held at a time.

    One site's failure does not stop the others: the first one is raised at the end, the log has
    all, and the next run takes up just those sites. Results should be small; arrays go to files.
    """
    with progress(stage, len(tasks), "sites") as advance:
        yield from _results(_outcomes(tasks, _never, work, spread, advance))


def each_step(
    step: Step[Task, Result], tasks: Sequence[Task] | Tasks[Task], spread: Spread
) -> Iterator[tuple[Result, bool]]:
    """`step` for every task, results in the tasks' order, each with whether its output had to be made.
    What is done is found here; only the rest goes to other processes. Failures as in `each_site`."""
    with progress(step.name, len(tasks), "sites") as advance:
        yield from _results(_outcomes(tasks, partial(_taken, step), step, spread, advance))


def _never(_task: Any) -> None:
    """No task is done before it is begun."""


def _taken(step: Step[Any, Any], task: Any) -> Outcome | None:
    """The outcome of a task that is done or whose check failed; None where it is to be made."""
    done, error = _guarded(step.is_done, task)
    if error:
        return None, error
    return _guarded(step.take, task) if done else None


def _outcomes(
    tasks: Sequence[Any] | Tasks[Any], taken: Callable[[Any], Outcome | None], work: Callable[[Any], Any],
    spread: Spread, advance: Callable[[], None],
) -> Iterator[Outcome]:  # fmt: skip
    run = _in_threads
    if spread.scheduler:
        run = _elsewhere
    elif forks.ARE_KNOWN and not spread.in_threads and min(spread.workers, len(tasks)) > 1:
        if names := forks.foreign_threads():
            log.info("sites are worked on in threads: %s run beside them", ", ".join(names))
        else:
            run = _elsewhere
    return run(tasks, taken, work, spread, advance)


def _results(outcomes: Iterator[Outcome]) -> Iterator[Any]:
    failed: list[MinebenchError] = []
    for result, error in outcomes:
        if error:
            failed.append(error)
        else:
            yield result
    if failed:
        more = (
            f" (and {len(failed) - 1} more sites failed; see {log_file.where()})" if len(failed) > 1 else ""
        )
        # Wrong input is wrong for every site: it goes before what went wrong on the way.
        first = next((error for error in failed if isinstance(error, InputError)), failed[0])
        raise type(first)(f"{str(first).rstrip('.')}{more}.")


def _guarded(work: Callable[[Any], Any], task: Any) -> Outcome:
    """The result, or the failure; every failure goes to the log, a defect with its trace."""
    try:
        return work(task), None
    except MinebenchError as error:
        log.error("%s", error)
        return None, error
    except Exception as error:
        log.exception("unexpected failure")
        defect = f"{type(error).__name__}: {error}; this is a defect, {log_file.where()} has its trace"
        return None, explained(error) or WorkError(defect)


AHEAD = 8
"""Tasks a worker that may be under way or done before the first of them is asked for."""


def _in_threads(
    tasks: Iterable[Any], taken: Callable[[Any], Outcome | None], work: Callable[[Any], Any], spread: Spread,
    advance: Callable[[], None],
) -> Iterator[Outcome]:  # fmt: skip
    def run(task: Any) -> Outcome:
        outcome = taken(task) or _guarded(work, task)
        advance()
        return outcome

    pool = _threads(spread)
    try:
        with threads.in_this_thread():
            begun = (pool.submit(run, task).result for task in tasks)
            yield from _in_order(begun, lambda: AHEAD * spread.workers)
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _prepared() -> Any:
    """A process that works for another one, once and for good: its threads begin and end tasks as they
    come."""
    threads.one_a_core()
    threads.keep_freed()
    return threads.in_this_thread()


def _for_another(work: Callable[[Any], Any], task: Any) -> Outcome:
    _prepared()
    return _guarded(work, task)


def _elsewhere(
    tasks: Iterable[Any], taken: Callable[[Any], Outcome | None], work: Callable[[Any], Any], spread: Spread,
    advance: Callable[[], None],
) -> Iterator[Outcome]:  # fmt: skip
    """What is done is found in threads of this process; the rest goes to processes of this machine or to a
    cluster, which are asked for when there is something to do for them."""
    joined: list[Any] = []
    looking = _threads(spread)

    def started(task: Any, found: Outcome | None) -> Callable[[], Outcome]:
        nonlocal looking
        if found is not None:
            advance()
            return lambda: found
        if not joined:
            # A process that is forked has all locks as they were, and no thread that would open them.
            looking.shutdown()
            joined.append(stack.enter_context(_workers(spread)))
            looking = _threads(spread)
        future = joined[0].submit(partial(_for_another, work), task)
        future.add_done_callback(lambda ended: advance() if _is_made(ended) else None)
        return lambda: _outcome(joined[0], future, task)

    with ExitStack() as stack:
        stack.callback(lambda: looking.shutdown(cancel_futures=True))
        looks = (looking.submit(taken, task).result for task in tasks)
        looked = _in_order(looks, lambda: AHEAD * spread.workers)
        begun = (started(task, found) for task, found in zip(tasks, looked, strict=True))
        yield from _in_order(begun, lambda: AHEAD * (joined[0].threads if joined else 1))


def _is_made(future: Any) -> bool:
    """Whether a task came to its end: at an interrupt it is cancelled, or lost with its process."""
    status = getattr(future, "status", None)  # of Dask's futures, whose exception would be waited for
    if status is not None:
        return bool(status == "finished")
    return not future.cancelled() and future.exception() is None


def _threads(spread: Spread) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(spread.workers, thread_name_prefix="minebench site")


def _workers(spread: Spread) -> AbstractContextManager[Any]:
    if spread.scheduler is None:
        return forks.forked(spread.workers)
    # Here and not above: work on one machine does without Dask.
    from pipeline.core.cluster import connected

    return connected(spread.scheduler)


def _outcome(workers: Any, future: Any, task: Any) -> Outcome:
    """The outcome of a task that was done elsewhere; what failed there goes to this command's log."""
    site = getattr(getattr(task, "site", None), "site_id", "A site")
    try:
        outcome: Outcome = workers.result(future, site)
    except Lost:
        raise
    except WorkError as error:
        outcome = None, error
    if outcome[1] and not workers.share_the_log:
        log.error("%s", outcome[1])
    return outcome


def _in_order(begun: Iterator[Callable[[], Any]], ahead: Callable[[], int]) -> Iterator[Any]:
    """The results of what was begun, in its order; so many are begun before the first is waited for."""
    waiting: deque[Callable[[], Any]] = deque()
    for result in begun:
        waiting.append(result)
        if len(waiting) > ahead():
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
