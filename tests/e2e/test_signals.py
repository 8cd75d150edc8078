"""Ctrl-C, SIGTERM and kills of commands at work; `test_dvc` has signals in the stages of a `dvc repro`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.core import forks
from tests.conftest import MINEBENCH, make_project, run
from tests.e2e.test_dvc import SENTENCE

SITES = 40


def at_work(project: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start a command, and return it when it has opened its log and had a moment to begin."""
    log = project / f"data/tiny/logs/{'train-unet' if words[0] == 'train' else words[0]}.log"
    log.unlink(missing_ok=True)
    process = subprocess.Popen(
        [MINEBENCH, *words], cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while process.poll() is None and not log.exists():
        time.sleep(0.01)
    time.sleep(0.5)
    assert process.poll() is None
    return process


def interrupt(process: subprocess.Popen[str], number: signal.Signals, times: int = 1) -> None:
    """Send a signal, from an impatient user more than once; the command must say so in one sentence."""
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.2)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said.endswith(SENTENCE)
    assert said.count("Interrupted") == 1
    assert "Traceback" not in said


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_processes_at_work_on_sites_are_not_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    """The sites take many times as long as the command is given to end."""
    mines = "name,lon,lat\n" + "".join(f"m{i},{14 + i / 4},51\n" for i in range(SITES))
    project = make_project(tmp_path / "many", mines=mines, workers=2)
    assert run("sites", cwd=project).returncode == 0
    interrupt(at_work(project, ("archive",)), number, times=2)
    made = list((project / "data/tiny/archive").glob("m*"))
    assert len(made) < SITES


# `test_dvc` interrupts a training by SIGINT.
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_training_ends(project: Path, number: signal.Signals) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"]["unet"]["steps"] = 100_000
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.rmtree(project / "data/tiny/runs", ignore_errors=True)
    interrupt(at_work(project, ("train", "--model", "unet")), number)
    assert not (project / "data/tiny/runs/unet/model.pt").exists()


@BOTH
def test_serving_ends(project: Path, number: signal.Signals) -> None:
    interrupt(at_work(project, ("browse", "--port", "0")), number)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


LONG = """
import os, sys, time
from pathlib import Path
from pipeline.core import interruption, locks, runner
def work(task):
    Path(sys.argv[1], f"{os.getpid()}").touch()
    time.sleep(60)
interruption.watch()
locks.take(Path(sys.argv[1], ".lock"), "The test")
try:
    list(runner.each_site("try", [1, 2, 3, 4], work, runner.Spread(2)))
except interruption.Interrupted as interrupted:
    interruption.end(interrupted.number)
"""


@pytest.mark.skipif(not forks.ARE_KNOWN, reason="Sites are worked on in processes on Linux only.")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_command(tmp_path: Path, number: int) -> None:
    """Ctrl-C goes to all processes of a terminal, a kill to one: none may stay and write on, or hold the
    lock."""
    command = [sys.executable, "-c", LONG, str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while len(found := [int(path.name) for path in tmp_path.glob("[0-9]*")]) < 2:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, told = process.communicate(timeout=30)  # its sites would take another minute
    again = subprocess.Popen([*command[:2], LONG, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while any(map(is_alive, found)):
        assert time.monotonic() < end, "a process of the killed command is still there"
        time.sleep(0.01)
    while len(list(tmp_path.glob("[0-9]*"))) < 4 and again.poll() is None:
        time.sleep(0.01)
    assert again.poll() is None, "the lock went with the command"
    again.kill()
    again.communicate()
    if number != signal.SIGKILL:
        assert told.count("Interrupted; run the same command again") == 1
        assert process.returncode == 128 + number
        assert "Traceback" not in told
