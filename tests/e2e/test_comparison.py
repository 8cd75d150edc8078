"""docs/comparison.yaml, cut to 4 steps a model: every model trains, is scored and stands in the report."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import MINEBENCH, ROOT

SHORT = {"steps": 4, "batch": 2, "validate_every": 4, "validation_items": 2, "weights": None,
         "precision": "no", "threads": 2}  # fmt: skip
OPTIONS = {"ddpm-cd": {"width": 32}}
"""What makes a model fit for two cores."""


def minebench(project: Path, *words: str) -> str:
    done = subprocess.run([MINEBENCH, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr[-2000:])
    return done.stdout


@pytest.mark.slow
def test_every_model_of_the_comparison_trains_scores_and_reports(project: Path) -> None:
    """On the tiny project (synthetic), through the command line; its scores say only that there are some."""
    given = yaml.safe_load((ROOT / "docs/comparison.yaml").read_text())
    given |= {"benchmarks": ["tiny"], "workers": 2}
    given["train"] = {
        name: {**SHORT, "options": OPTIONS.get(name, {})} if own else {}
        for name, own in given["train"].items()
    }
    (project / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    for name in given["models"]:
        minebench(project, "train", "--model", name)
        minebench(project, "evaluate", "--model", name)
        metrics = json.loads((project / f"data/tiny/runs/{name}/metrics.json").read_text())
        assert sum(metrics["pixels"].values()) > 0, name
        print(name, metrics["f1"], flush=True)
    minebench(project, "compare")
    minebench(project, "report")
    report = (project / "data/tiny/report/index.html").read_text()
    assert [name for name in given["models"] if name not in report] == []
