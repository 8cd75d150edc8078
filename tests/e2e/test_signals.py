"""Ctrl-C and SIGTERM in commands at work; `test_dvc` has them in the stages of a `dvc repro`."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

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
