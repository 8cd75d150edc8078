"""Code in the docs runs, and links lead somewhere."""

import re
import shutil
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

import minebench
import models
import pipeline
from models import registry
from models.training.settings import Settings
from pipeline import sources
from pipeline.sensors import known
from tests.conftest import ROOT


def test_the_torchgeo_class_reads_pairs(built: Path, monkeypatch) -> None:
    """With a stand-in for TorchGeo's base class, itself a torch Dataset: TorchGeo needs torchvision."""
    stand_in = types.ModuleType("torchgeo.datasets")
    stand_in.NonGeoDataset = Dataset
    monkeypatch.setitem(sys.modules, "torchgeo", types.ModuleType("torchgeo"))
    monkeypatch.setitem(sys.modules, "torchgeo.datasets", stand_in)
    page = (ROOT / "docs/layouts.md").read_text()
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], names)
    dataset = names["MineBench"](str(built / "data/tiny"), "train", lambda sample: sample)
    sample = dataset[len(dataset) - 1]
    assert sample["image1"].shape == sample["image2"].shape == (5, 64, 64)
    assert sample["mask"].dtype == torch.int64


def test_links_of_the_readme_lead_somewhere() -> None:
    pages = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    links = [(page, href) for page in pages for href in re.findall(r"\]\(([^)#\s]+)", page.read_text())
             if not href.startswith(("http", "reference/", "../reference/"))]  # fmt: skip
    assert {page.name for page, _ in links} > {"README.md", "CONTRIBUTING.md"}
    for page, href in links:
        assert (page.parent / href).exists(), f"{page}: {href}"


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extend.md").read_text(), re.DOTALL)


def extension(folder: Path, name: str, holds: str) -> Path:
    """Write the block of docs/extend.md that holds some words as a module."""
    (block,) = [block for block in BLOCKS if holds in block]
    path = folder / f"{name}.py"
    path.write_text(block)
    return path


def test_the_model_of_the_page_trains(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = extension(tmp_path, "my_network", "class MyNetwork").read_text()
    (other,) = re.findall(r"^# or, of `models.recipes`: (Recipe\(.*\))$", text, re.MULTILINE)
    text = text.replace("import EUROMINENET", "import EUROMINENET, Recipe")
    monkeypatch.setitem(registry.REGISTRY["change"], "my-network", registry._entry("my_network.MyNetwork"))
    for recipe, loss in ((other, "bce-dice"), ("EUROMINENET", "cross-entropy")):
        module = types.ModuleType("models.change.my_network")
        exec(text.replace("RECIPE = EUROMINENET", f"RECIPE = {recipe}"), module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        assert Settings.of({}, "my-network").loss == loss
    network = models.create("my-network", in_channels=5)
    assert network(*[torch.zeros(1, 5, 64, 64)] * 2).shape == (1, 1, 64, 64)
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("scenes", "archive")
    shutil.copytree(built / "data/tiny", project / "data/tiny", ignore=ignored)
    (project / "catalogs").symlink_to(built / "catalogs")
    short = {"steps": 1, "batch": 1, "crop": 32, "validate_every": 1, "validation_items": 1}
    pipeline.run("train", "tiny", project, model="my-network", **short)
    assert 0 <= pipeline.run("evaluate", "tiny", project, model="my-network")["recall"] <= 1


def test_the_source_of_the_page_makes_cubes(
    empty_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension(tmp_path, "grey", "class Grey")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert "grey" in sources.names()
    recipe = empty_project / "catalogs/tiny/recipe.yaml"
    text = recipe.read_text().replace("{name: synthetic, seed: 3, scenes_per_period: 4}", "{name: grey}")
    recipe.write_text(text.replace("{source: archive}", "{source: none}"))
    for stage in ("sites", "fetch", "compose"):
        pipeline.run(stage, "tiny", empty_project)
    benchmark = minebench.open(empty_project)
    cube = benchmark.cube(benchmark.sites.site_id[0])
    assert float(cube.reflectance.min()) == float(cube.reflectance.max()) == pytest.approx(0.2)
    assert cube.sizes["time"] == 3


def test_the_sensor_of_the_page_is_found_by_its_name(tmp_path: Path) -> None:
    module = types.ModuleType("minesat")
    exec(extension(tmp_path, "minesat", "MINE_SAT = ").read_text(), module.__dict__)
    (listing,) = [block for block in BLOCKS if "MODULES = " in block]
    source = Path(known.__file__).read_text()
    imports, modules = listing.strip().split("\n\n")
    for line in (imports.replace("minesat, ", ""), modules.replace(", minesat", "")):
        assert line in source, "the page says to change this line"
    names: dict[str, object] = {"__name__": "known", "minesat": module}
    exec(source.replace(modules.replace(", minesat", ""), modules), names)
    assert names["named"]("mine-sat").pixel_m["B1"] == 3.0
