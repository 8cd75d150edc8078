"""Code in the docs runs, and links lead somewhere."""

import re
import sys
import types
from pathlib import Path

import torch
from torch.utils.data import Dataset

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
