"""Code in the docs runs, the site is built without a broken link, and its reference is complete."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from models import names
from models.training.settings import Settings
from pipeline.cli import app
from pipeline.index import tile
from pipeline.recipe import Recipe, Selection, Sites, Split, Tiling
from pipeline.scenes import scene_table
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it: a link or anchor that leads nowhere fails it."""
    out = tmp_path_factory.mktemp("docs") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_the_reference_has_every_command_field_column_and_setting(site: Path) -> None:
    words = {
        "commands": {command.name or command.callback.__name__ for command in app.registered_commands},
        "recipe": {name for part in (Recipe, Selection, Sites, Split, Tiling) for name in part.model_fields},
        "tables": {*scene_table.ROW, *tile.PAIR},
        "settings": {*Settings.__dataclass_fields__, *names("change"), *names("segmentation")},
    }
    for page, wanted in words.items():
        assert len(wanted) > 10, page
        text = (site / f"reference/{page}.html").read_text()
        assert not [word for word in wanted if f">{word}<" not in text.replace("\n", "")], page


def test_the_site_asks_nothing_of_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not [address for address in loaded if "canonical" not in address], page


def test_links_of_the_readme_lead_somewhere() -> None:
    pages = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    links = [(page, href) for page in pages for href in re.findall(r"\]\(([^)#\s]+)", page.read_text())
             if not href.startswith(("http", "reference/", "../reference/"))]  # fmt: skip
    assert {page.name for page, _ in links} > {"README.md", "CONTRIBUTING.md"}
    for page, href in links:
        assert (page.parent / href).exists(), f"{page}: {href}"
