"""Scores that no evaluation wrote are refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from minebench.errors import Damaged
from models.evaluation import run_files

METRICS: dict[str, Any] = {
    "model": "unet", "task": "segmentation", "split": "test", "fold": "", "threshold": 0.5, "f1": 0.5,
    "f1_interval": [None, 0.6], "aoi": {"f1": None}, "pixels": {"tp": 1}, "trivial": {"all": {"f1": 0.1}},
}  # fmt: skip
TIMING = {"images_per_second": None, "threads": 1, "device": "a CPU"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "timing.json").write_text(json.dumps(TIMING))
    return tmp_path


def test_scores_as_they_are_written(run: Path) -> None:
    assert run_files.is_sound(run)
    assert run_files.metrics_of(run) == METRICS
    assert run_files.timing_of(run) == TIMING
    (run / "metrics.json").write_text(json.dumps({"unlabelled": True}))
    assert run_files.metrics_of(run) == {"unlabelled": True}


@pytest.mark.parametrize(
    "harm",
    [
        {"f1": "0.5"}, {"f1_interval": [1]}, {"f1_interval": None}, {"aoi": {}}, {"model": 5},
        {"trivial": {"all": {"f1": []}}}, {"external": {"predicted": 1, "asked": 0}}, {"threshold": None},
    ],
)  # fmt: skip
def test_other_values_are_damage(harm: dict[str, Any], run: Path) -> None:
    (run / "metrics.json").write_text(json.dumps(METRICS | harm))
    with pytest.raises(Damaged, match="is not what an evaluation wrote: remove it"):
        run_files.metrics_of(run)
    assert not run_files.is_sound(run)


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"\xff", b"<<<<<<< ours\n{}", b'{"device": 5}'])
def test_what_is_no_json_of_a_run_is_damage(content: bytes, run: Path) -> None:
    for name, read in (("metrics.json", run_files.metrics_of), ("timing.json", run_files.timing_of)):
        (run / name).write_bytes(content)
        with pytest.raises(Damaged):
            read(run)
