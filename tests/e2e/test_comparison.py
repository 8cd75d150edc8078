"""docs/comparison.yaml, cut to a few steps a model: each trains, is scored and stands in the report."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.conftest import MINEBENCH, ROOT, STAGES

SHORT = {"batch": 2, "validation_items": 2, "weights": None, "precision": "no", "threads": 1}
OPTIONS = {"ddpm-cd": {"width": 32}}
"""What makes a model fit for two cores."""

pytestmark = pytest.mark.slow


def minebench(project: Path, *words: str) -> str:
    done = subprocess.run([MINEBENCH, *words], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr[-2000:])
    return done.stdout


def shorten(project: Path, benchmark: str, steps: int) -> list[str]:
    """Write the comparison's params.yaml, cut to `steps` steps a model; the names of its models."""
    given = yaml.safe_load((ROOT / "docs/comparison.yaml").read_text())
    given |= {"benchmarks": [benchmark], "workers": 2}
    short = SHORT | {"steps": steps, "validate_every": steps}
    given["train"] = {
        name: {**short, "options": OPTIONS.get(name, {})} if own else {}
        for name, own in given["train"].items()
    }
    (project / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    return given["models"]


def one(project: Path, benchmark: str, name: str) -> None:
    """Train and score a model through the command line; the scores say only that there are some."""
    minebench(project, "train", "--model", name)
    minebench(project, "evaluate", "--model", name)
    metrics = json.loads((project / f"data/{benchmark}/runs/{name}/metrics.json").read_text())
    assert sum(metrics["pixels"].values()) > 0, name
    print(name, metrics["f1"], flush=True)


def compare(project: Path, benchmark: str, models: list[str]) -> None:
    with ThreadPoolExecutor(2) as two:
        list(two.map(lambda name: one(project, benchmark, name), models))
    minebench(project, "compare")
    minebench(project, "report")
    report = (project / f"data/{benchmark}/report/index.html").read_text()
    assert [name for name in models if name not in report] == []


def test_every_model_on_the_tiny_project(project: Path) -> None:
    compare(project, "tiny", shorten(project, "tiny", 4))


def test_every_model_on_the_demo(tmp_path: Path) -> None:
    """Hours on two cores."""
    shutil.copytree(ROOT / "catalogs/demo", tmp_path / "catalogs/demo", ignore=shutil.ignore_patterns("stac"))
    models = shorten(tmp_path, "demo", 20)
    for stage in STAGES:
        minebench(tmp_path, stage)
    compare(tmp_path, "demo", models)
