"""docs/comparison.yaml, cut to 20 steps a model: every model trains, is scored and stands in the report."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import MINEBENCH, ROOT, STAGES

SHORT = {"steps": 20, "batch": 2, "crop": 64, "validate_every": 20, "validation_items": 2, "weights": None,
         "precision": "no", "threads": 1}  # fmt: skip
OPTIONS = {"ddpm-cd": {"width": 32}}
"""What makes a model fit for two cores."""


def minebench(project: Path, *words: str) -> str:
    done = subprocess.run([MINEBENCH, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr[-2000:])
    return done.stdout


@pytest.mark.slow
def test_every_model_of_the_comparison_trains_scores_and_reports(tmp_path: Path) -> None:
    """On the demo (synthetic), through the command line; its scores say nothing but that there are some."""
    given = yaml.safe_load((ROOT / "docs/comparison.yaml").read_text())
    given |= {"benchmarks": ["demo"], "workers": 2}
    given["train"] = {
        name: {**SHORT, "options": OPTIONS.get(name, {})} if own else {}
        for name, own in given["train"].items()
    }
    shutil.copytree(ROOT / "catalogs/demo", tmp_path / "catalogs/demo", ignore=shutil.ignore_patterns("stac"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    for stage in STAGES:
        minebench(tmp_path, stage)
    for name in given["models"]:
        minebench(tmp_path, "train", "--model", name)
        minebench(tmp_path, "evaluate", "--model", name)
        metrics = json.loads((tmp_path / f"data/demo/runs/{name}/metrics.json").read_text())
        assert sum(metrics["pixels"].values()) > 0, name
        print(name, metrics["f1"], flush=True)
    minebench(tmp_path, "compare")
    minebench(tmp_path, "report")
    report = (tmp_path / "data/demo/report/index.html").read_text()
    assert [name for name in given["models"] if name not in report] == []
