"""Models over a vision backbone, with adapters, by the commands."""

import json
import shutil
from pathlib import Path

import yaml
from transformers import DINOv3ViTConfig

from minebench.layout import BenchmarkPaths
from models.evaluation.evaluate import evaluate
from models.training.settings import Settings
from models.training.train import train
from pipeline import recipe
from pipeline.inference import explain
from tests.conftest import run
from tests.models.test_foundation import NAMES, SMALL


def test_it_trains_with_adapters_through_the_command_line(built: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone"
    DINOv3ViTConfig(patch_size=16, **SMALL).save_pretrained(backbone)
    project = Path(shutil.copytree(built, tmp_path / "project"))
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"] = {
        name: {
            "steps": 2, "batch": 1, "crop": 32, "validation_items": 1, "weights": None, "mode": "lora",
            "options": {"backbone": str(backbone), "width": 16},
        }
        for name in NAMES
    }  # fmt: skip
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    data = project / "data/tiny"
    for stage in ("train", "evaluate", "explain"):
        done = run(stage, "--model", NAMES[0], cwd=project)
        assert done.returncode == 0, (stage, done.stderr)
    # The other one by the functions behind the commands, in a process that has loaded its libraries.
    train(data, NAMES[1], Settings.of(params["train"][NAMES[1]], NAMES[1]))
    evaluate(data, NAMES[1])
    benchmark = BenchmarkPaths("tiny", project)
    explain.build(benchmark, recipe.load(benchmark.recipe), NAMES[1])
    for name in NAMES:
        told = json.loads((data / f"runs/{name}/run.json").read_text())
        assert told["settings"]["mode"] == "lora"
