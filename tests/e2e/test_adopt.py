"""Published checkpoints scored as they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from minebench.data import datasets
from minebench.errors import InputError
from models.evaluation import adopt
from models.training import weights
from tests.conftest import run


@pytest.mark.parametrize("name", ["fc-siam-diff", "fc-ef", "tinycd", "bit"])
def test_a_model_of_three_bands_sees_those_three_of_five(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, ours = models.create(name, in_channels=3).eval(), models.create(name, in_channels=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    weights.load(ours, str(tmp_path / "x.pth"), ["B02", "B03", "B04", "B08", "B11"], alone=True)
    theirs, ours = theirs.double(), ours.double()  # sums in another order
    a, b = torch.randn(2, 2, 5, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(*(image[:, [2, 1, 0]] for image in (a, b)))
        found = ours(a, b)
    assert torch.allclose(found, expected, atol=1e-9)


def test_numbers_are_those_the_network_was_trained_to_see() -> None:
    scale = adopt.scale_of("imagenet", ["B02", "B04", "B08"], 10_000)
    assert scale.mean == pytest.approx([4060, 4850, 4850])
    assert scale.std == pytest.approx([2250, 2290, 2290])
    assert adopt.scale_of("0.5,0.25", ["R", "G"], 255).std == pytest.approx([63.75, 63.75])
    assert adopt.scale_of("0.1,0.2,1,2", ["R", "G"], 255).mean == pytest.approx([25.5, 51])
    for wrong in ("none", "0.5", "1,2,3", "0.5,0"):
        with pytest.raises(InputError, match=f"--normalise {wrong}"):
            adopt.scale_of(wrong, ["R", "G"], 255)


def test_scored_without_training(project: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "published.pth"
    torch.save(models.create("fc-siam-diff", in_channels=3).state_dict(), path)
    words = ["evaluate", "--model", "fc-siam-diff@levir", "--weights", str(path), "--normalise", "imagenet"]
    done = run(*words, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "124 of 124 tensors from" in done.stdout
    assert "B02 takes blue, B03 takes green, B04 takes red" in done.stdout
    assert "ImageNet's blue for B02, green for B03, red for B04" in done.stdout
    folder = project / "data/tiny/runs/fc-siam-diff@levir"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["model"] == "fc-siam-diff@levir"
    assert str(tmp_path) not in (folder / "run.json").read_text()
    for each in (["compare"], ["predict", "--model", "fc-siam-diff@levir"], ["catalog"], ["check"]):
        done = run(*each, cwd=project)
        assert done.returncode == 0, done.stderr
    saved = torch.load(folder / "model.pt", weights_only=True)
    bands = datasets.bands_of(project / "data/tiny")
    assert np.array(saved["mean"])[bands.index("B04")] == pytest.approx(4850)
    whole = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in whole.items() if "encoder" in name}, path)
    words[2] = "fc-siam-diff@half"
    done = run(*words, cwd=project)
    assert done.returncode == 2
    assert "does not fill fc-siam-diff: " in done.stderr
    done = run(*words[:-2], cwd=project)
    assert done.returncode == 2
    assert "--weights and --normalise go together" in done.stderr
