"""Which settings and options a run takes from params.yaml and the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from minebench.errors import InputError
from models.training.settings import given_for
from pipeline.cli.models import _options
from tests.conftest import run


def test_a_label_takes_its_models_settings_unless_it_has_its_own() -> None:
    train: dict[str, Any] = {"unet": {"steps": 8}, "unet@b": {"steps": 9}, "unet@recipe": {}, "bit": None}
    assert given_for("unet", train) == {"steps": 8}
    assert given_for("unet@a", train) == {"steps": 8}
    assert given_for("unet@sites-5", train) == {"steps": 8}
    assert given_for("unet@b", train) == {"steps": 9}
    assert given_for("unet@recipe", train) == {}
    assert given_for("bit@a", train) == given_for("tinycd@a", train) == {}
    given_for("unet@a", train)["fold"] = "kfold/0"
    assert train["unet"] == {"steps": 8}


def test_options_are_those_of_the_command_line_or_of_the_runs_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's own training says nothing of the form of somebody's checkpoint."""
    monkeypatch.chdir(tmp_path)
    settings = "{bit: {options: {head_width: 32}}, bit@levir: {options: {head_width: 8}}}"
    (tmp_path / "params.yaml").write_text(f"benchmarks: [tiny]\ntrain: {settings}\n")
    assert _options(None, "bit@levir") == {"head_width": 8}
    assert _options('{"head_width": 16}', "bit@levir") == {"head_width": 16}
    assert _options("{}", "bit@levir") == _options(None, "bit@other") == {}
    for wrong in ("head_width=8", "8", '["head_width"]'):
        with pytest.raises(InputError, match=r"--options .+: give names and values as JSON, such as"):
            _options(wrong, "bit@levir")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(InputError, match="bit has no option 'heads'; known: decoder_depth, head_width"):
        models.create("bit", in_channels=3, heads=8)
    with pytest.raises(InputError, match="tinycd has no option 'width'; it takes none"):
        models.create("tinycd", in_channels=3, width=8)


def test_a_checkpoint_of_another_form_is_scored_and_a_label_is_trained(project: Path) -> None:
    path = project / "published.pth"
    torch.manual_seed(0)
    torch.save(models.create("fc-siam-diff", in_channels=3, width=4).state_dict(), path)
    words = ["evaluate", "--model", "fc-siam-diff@small", "--weights", str(path), "--normalise", "imagenet"]
    done = run(*words, "--options", '{"depth": 4}', cwd=project)
    assert done.returncode == 2
    assert "fc-siam-diff has no option 'depth'; known: dropout, width" in done.stderr
    done = run(*words, "--options", '{"width": 4}', cwd=project)
    assert done.returncode == 0, done.stderr
    assert "124 of 124 tensors from" in done.stdout
    runs = project / "data/tiny/runs"
    saved = torch.load(runs / "fc-siam-diff@small/model.pt", weights_only=True)
    assert saved["options"] == {"width": 4}
    assert (runs / "fc-siam-diff@small/metrics.json").is_file()
    done = run("evaluate", "--model", "fc-siam-diff@small", "--options", "{}", cwd=project)
    assert done.returncode == 2
    assert "--options goes with --weights" in done.stderr
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("cva: {}", "cva: {seed: 7}"))
    done = run("train", "--model", "cva@a", cwd=project)
    assert done.returncode == 0, done.stderr
    assert json.loads((runs / "cva@a/run.json").read_text())["settings"]["seed"] == 7
