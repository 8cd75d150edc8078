"""Ctrl-C and SIGTERM in every stage, through a real `dvc repro`: nothing interrupted is taken for done."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import MINEBENCH, ROOT, make_project
from tests.e2e.test_dvc import ENVIRONMENT, sh

STAGES = (
    "sites@tiny", "archive@tiny", "fetch@tiny", "compose@tiny", "annotate@tiny", "tile@tiny",
    "train@tiny-unet", "evaluate@tiny-unet", "compare@tiny", "activity@tiny", "catalog@tiny",
    "report@tiny",
)  # fmt: skip
SENTENCE = "minebench: Interrupted; run the same command again to go on.\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with DVC, one model and nothing built."""
    folder = make_project(tmp_path_factory.mktemp("signals"))
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("[cva, fc-siam-diff, unet]", "[unet]"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("pipeline", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    sh("git init -q && dvc init -q && git add -A && git commit -qm start", folder)
    return folder


def working(dvc: subprocess.Popen[str], log: Path) -> psutil.Process | None:
    """The command of ours that DVC has started, once it has its log open; None where DVC ended before."""
    while dvc.poll() is None:
        for process in psutil.Process(dvc.pid).children(recursive=True):
            try:
                if process.name() == "minebench" and log.exists():
                    return process
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.005)
    return None


def test_an_interrupted_stage_is_run_again(repository: Path) -> None:
    """Each stage is interrupted at its work, by both signals in turn; on the way to the next it is run
    to its end."""
    before = ""
    for place, stage in enumerate(STAGES):
        name = stage.partition("@")[0] + ("-unet" if "unet" in stage else "")
        log = repository / f"data/tiny/logs/{name}.log"
        log.unlink(missing_ok=True)
        dvc = subprocess.Popen(
            ["dvc", "repro", stage], cwd=repository, env=ENVIRONMENT, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        found = working(dvc, log)
        assert found is not None, dvc.communicate()[0]
        if place % 2:
            found.send_signal(signal.SIGTERM)
        else:
            os.killpg(dvc.pid, signal.SIGINT)  # what a terminal does
        said, _ = dvc.communicate(timeout=60)
        assert dvc.returncode != 0, said
        assert SENTENCE in said
        assert "Traceback" not in said
        lock = repository / "dvc.lock"
        assert not lock.exists() or stage not in yaml.safe_load(lock.read_text())["stages"]
        # The activity does not wait for the comparison, nor the report for the catalog.
        assert f"Running stage '{before}'" in said or stage in (STAGES[0], "activity@tiny", "report@tiny")
        before = stage
    said = sh("dvc repro", repository)
    assert "Running stage 'catalog@tiny'" in said
    assert "Running stage 'report@tiny'" in said
    assert set(yaml.safe_load(lock.read_text())["stages"]) == set(STAGES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [("archive",), ("train", "--model", "unet"), ("browse", "--port", "0")])
def test_every_command_ends_within_two_seconds(
    repository: Path, tmp_path: Path, words: tuple[str, ...], number: signal.Signals
) -> None:
    """Also with threads at work that would take much longer, and from beside them."""
    if words[0] == "archive":
        mines = "name,lon,lat\n" + "".join(f"m{i},{14 + i / 4},51\n" for i in range(40))
        project = make_project(tmp_path / "many", mines=mines)
        subprocess.run([MINEBENCH, "sites"], cwd=project, check=True, capture_output=True)
    else:
        project = repository
        shutil.rmtree(project / "data/tiny/runs", ignore_errors=True)
    process = subprocess.Popen(
        [MINEBENCH, *words], cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log = project / f"data/tiny/logs/{'train-unet' if words[0] == 'train' else words[0]}.log"
    log.unlink(missing_ok=True)
    while process.poll() is None and not log.exists():
        time.sleep(0.01)
    time.sleep(0.5 if words[0] != "train" else 0.1)
    assert process.poll() is None
    sent = time.monotonic()
    process.send_signal(number)
    if words[0] == "archive":  # an impatient user
        time.sleep(0.2)
        process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - sent < 2.5  # two seconds, on a machine that is busy with other tests
    assert process.returncode == 128 + number
    assert said.endswith(SENTENCE)
    assert said.count("Interrupted") == 1
    assert "Traceback" not in said
