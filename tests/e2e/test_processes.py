"""Two processes train one model, and score and predict as one does, to the last digit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from models.evaluation.evaluate import FILES
from models.training.checkpoint import load
from tests.conftest import contents, run
from tests.forks import FORKS

ACCELERATE, LAUNCH = "accelerate.commands.launch", ["--cpu", "--num_processes", "2", "-m", "pipeline.cli"]


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("fc-siam-diff", "evaluate"),
        ("unet", "predict --split all"),
        pytest.param("unet", "evaluate", marks=pytest.mark.slow),
        pytest.param("fc-siam-diff", "predict --split all", marks=pytest.mark.slow),
    ],
)
def test_the_same_numbers_on_two_processes(project: Path, model: str, command: str) -> None:
    done = run("train", "--model", model, cwd=project)
    assert done.returncode == 0, done.stderr
    results = project / "data/tiny" / ("predictions" if "predict" in command else f"runs/{model}")
    name, *words = command.split()
    found = []
    if name == "predict":  # above the threshold that the run was scored with
        assert run("evaluate", "--model", model, cwd=project).returncode == 0
    for processes in (1, 2):
        if processes == 1:
            done = run(name, "--model", model, *words, cwd=project)
        else:
            launch = [*LAUNCH, name, "--model", model, *words]
            done = FORKS.run(launch, project, timeout=280, module=ACCELERATE)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count(f"{name}: ") == 1
        if name == "predict":
            found.append(contents(results))
            shutil.rmtree(results)
        else:
            found.append({file: (results / file).read_bytes() for file in FILES})
            for file in (*FILES, "timing.json"):
                (results / file).unlink()
    assert found[0]
    assert found[0] == found[1]


def test_two_processes_train_one_model(project: Path) -> None:
    params = (project / "params.yaml").read_text().replace("validation_items: 4,", "validation_items: 3,")
    (project / "params.yaml").write_text(params)
    launch = [sys.executable, "-m", ACCELERATE, *LAUNCH, "train", "--model", "unet"]
    done = subprocess.run(launch, cwd=project, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    network, _ = load(project / "data/tiny/runs/unet/model.pt")
    assert all(
        torch.isfinite(value).all() for value in network.state_dict().values() if value.is_floating_point()
    )
    steps = pd.read_csv(project / "data/tiny/runs/unet/live/plots/metrics/loss.tsv", sep="\t").step
    assert steps.tolist() == [2, 4]
