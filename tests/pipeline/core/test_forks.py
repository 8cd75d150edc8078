"""Sites in processes: in order, one sentence where one is ended. `tests.e2e.test_signals` has what ends a
command."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minebench.errors import Lost, WorkError
from pipeline.core import forks, runner, threads
from pipeline.core.runner import Spread, Step, Tasks
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not forks.ARE_KNOWN, reason="Sites are worked on in processes on Linux only.")


TASKS = list(range(7))


@pytest.fixture(autouse=True)
def _no_foreign_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-xdist's thread is there where several workers run tests; it only waits."""
    monkeypatch.setattr(forks, "foreign_threads", list)


def slow_at_first(task: int) -> tuple[int, int]:
    time.sleep(0.2 if task == 0 else 0)
    return task, os.getpid()


def ends_itself(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def fails(task: int) -> int:
    if task % 3 == 1:
        raise WorkError(f"Site {task} has no pixels.")
    if task == 6:
        raise KeyError("a defect")
    return task


def in_a_pool(_task: int) -> int:
    return threads.pool("test", 1).submit(os.getpid).result(timeout=10)


def test_sites_are_worked_on_in_other_processes_and_come_in_order() -> None:
    found = list(runner.each_site("try", TASKS, slow_at_first, Spread(2)))
    assert [task for task, _ in found] == TASKS
    pids = {pid for _, pid in found}
    assert len(pids) == 2
    assert os.getpid() not in pids


@pytest.mark.parametrize("spread", [Spread(1), Spread(2, in_threads=True)])
def test_one_worker_or_threads_stay_in_this_process(spread: Spread) -> None:
    assert {pid for _, pid in runner.each_site("try", TASKS, slow_at_first, spread)} == {os.getpid()}
    assert {pid for _, pid in runner.each_site("try", [5], slow_at_first, Spread(2))} == {os.getpid()}


def test_a_program_with_threads_of_its_own_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may hold a lock that a fork would wait for, for ever."""
    monkeypatch.undo()
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait, name="of a notebook")
    thread.start()
    try:
        assert "of a notebook" in forks.foreign_threads()
        assert {pid for _, pid in runner.each_site("try", TASKS, slow_at_first, Spread(2))} == {os.getpid()}
    finally:
        ended.set()
        thread.join()
    assert "of a notebook" not in forks.foreign_threads()


def test_threads_of_ours_are_at_rest_when_processes_are_forked() -> None:
    """Those that look at what is done have ended; what waits for a signal or shows progress holds nothing
    that a fork asks for."""
    code = """
import threading, warnings
from contextlib import contextmanager
from pathlib import Path
from pipeline.core import forks, interruption, runner
from tests.pipeline.core.test_forks import kept_in, made_in
warnings.simplefilter("error")
interruption.watch()
real = forks.forked
@contextmanager
def forked(workers):
    print(sorted(thread.name for thread in threading.enumerate()))
    with real(workers) as pool:
        yield pool
forks.forked = forked
step = runner.Step("try", str, Path, made_in, kept_in)
found = list(runner.each_step(step, [f"nowhere/{number}" for number in range(40)], runner.Spread(2)))
print(len({pid for pid, made in found if made}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "['MainThread', 'minebench interruption', 'minebench progress']",
        "2",
    ], done.stderr


def writes(task: int) -> tuple[bool, bool]:
    logging.getLogger().warning("site %s", task)
    handler = logging.getLogger().handlers[-1]
    assert isinstance(handler, logging.FileHandler)
    return sys.stderr is sys.__stderr__, handler.stream in forks._INHERITED


def test_forks_write_to_streams_of_their_own(tmp_path: Path) -> None:
    """A thread of the parent may have been writing to those that there were, and hold their locks."""
    handler = logging.FileHandler(tmp_path / "log")
    logging.getLogger().addHandler(handler)
    try:
        assert set(runner.each_site("try", TASKS, writes, Spread(2))) == {(False, False)}
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert sorted((tmp_path / "log").read_text().splitlines()) == [f"site {task}" for task in TASKS]


def has_no_output(_task: int) -> bool:
    return sys.stdout is None


def test_closed_streams_stay_closed() -> None:
    """As in `minebench fetch >&-`: output's number may be another file's by then."""
    code = """
import sys
from pipeline.core import runner
from tests.pipeline.core.test_forks import TASKS, has_no_output
sys.exit(set(runner.each_site("try", TASKS, has_no_output, runner.Spread(2))) != {True})
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def test_failures_are_as_in_threads_and_logged_once(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", mode="w")
    logging.getLogger().addHandler(handler)
    try:
        seen: list[int] = []
        with pytest.raises(WorkError, match=r"Site 1 has no pixels \(and 2 more sites failed; see .*\)"):
            seen.extend(runner.each_site("try", TASKS, fails, Spread(2)))
    finally:
        logging.getLogger().removeHandler(handler)
    assert seen == [0, 2, 3, 5]
    told = (tmp_path / "log").read_text()
    assert told.count("Site 1 has no pixels") == told.count("Site 4 has no pixels") == 1
    assert told.count("Traceback") == 1


def test_a_process_that_is_ended_from_outside_is_a_sentence() -> None:
    seen: list[int] = []
    with pytest.raises(Lost, match=r"lower `workers` in params\.yaml"):
        seen.extend(runner.each_site("try", TASKS, ends_itself, Spread(2)))
    assert seen == TASKS[: len(seen)]
    assert 3 not in seen


def test_few_tasks_are_made_before_the_first_result_is_taken() -> None:
    made: list[int] = []
    tasks = Tasks(range(400), lambda task: made.append(task) or task)  # type: ignore[func-returns-value]
    results = runner.each_site("try", tasks, slow_at_first, Spread(2))
    assert next(results)[0] == 0
    assert max(made) <= 2 * (2 * runner.AHEAD + 1)
    assert [task for task, _ in results] == list(range(1, 400))


def test_threads_of_the_parent_are_not_taken_for_ones_own() -> None:
    assert in_a_pool(0) == os.getpid()
    assert os.getpid() not in set(runner.each_site("try", TASKS, in_a_pool, Spread(2)))


def test_only_what_is_to_be_made_goes_to_processes_forked_while_nothing_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looking = threading.Semaphore(0)
    forked_at, real = [], forks.forked

    @contextmanager
    def watched(workers: int) -> Iterator[Any]:
        forked_at.append(looking._value)
        with real(workers) as found:
            yield found

    def is_done(task: int) -> bool:
        looking.release()
        time.sleep(0.02)
        looking.acquire()
        return task % 4 > 0

    step = Step("try", str, Path, made_in, kept_in)
    monkeypatch.setattr(forks, "forked", watched)
    monkeypatch.setattr(Step, "is_done", lambda _step, task: is_done(task))
    found = list(runner.each_step(step, Tasks(range(40), int), Spread(2)))
    assert forked_at == [0]
    assert [made for _, made in found] == [task % 4 == 0 for task in range(40)]
    assert {pid for pid, made in found if not made} == {os.getpid()}
    assert os.getpid() not in {pid for pid, made in found if made}
    monkeypatch.setattr(Step, "is_done", lambda _step, task: True)
    list(runner.each_step(step, Tasks(range(40), int), Spread(2)))
    assert forked_at == [0], "where all is done no process is begun"


def made_in(_task: int, _key: str) -> int:
    return os.getpid()


def kept_in(_task: int) -> int:
    return os.getpid()
