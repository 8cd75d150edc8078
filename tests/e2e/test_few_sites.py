"""Runs that learn from a few labelled sites, and how they stand in the report."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from minebench import data
from minebench.data import datasets
from minebench.errors import InputError
from tests.conftest import run

TILES = pd.DataFrame({"site_id": list("aabbccddee"), "tile_id": range(10)})


def test_fewer_sites_are_among_more() -> None:
    for seed in range(5):
        drawn = [set(datasets.of_few_sites(TILES, count, seed).site_id) for count in range(1, 6)]
        assert [len(own) for own in drawn] == [1, 2, 3, 4, 5]
        assert all(fewer < more for fewer, more in pairwise(drawn))
    assert len({tuple(datasets.of_few_sites(TILES, 2, seed).site_id) for seed in range(9)}) > 1
    with pytest.raises(InputError, match="There are 5 sites with labels to train on, not 6"):
        datasets.of_few_sites(TILES, 6, 0)


def test_a_run_of_one_site(built: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(built, tmp_path / "project"))
    # Two sites to train on, so that one is fewer.
    tiles = project / "data/tiny/index/tiles.parquet"
    table = pd.read_parquet(tiles)
    table.loc[table.split == "val", "split"] = "train"
    table.to_parquet(tiles)
    assert len(data.open(project / "data/tiny", "series", sites=1).tiles) < len(
        data.open(project / "data/tiny", "series").tiles
    )
    commands = [
        ["train", "--model", "unet", "--sites", "1"], ["train", "--model", "unet-hmm", "--sites", "1"],
        ["train", "--model", "unet-hmm"],  # which trains unet first
        ["evaluate", "--model", "unet@sites-1"], ["evaluate", "--model", "unet"], ["compare"], ["report"],
    ]  # fmt: skip
    for words in commands:
        done = run(*words, cwd=project)
        assert done.returncode == 0, (words, done.stderr)
    told = json.loads((project / "data/tiny/runs/unet@sites-1/run.json").read_text())
    assert told["settings"]["sites"] == 1
    few, every = (
        json.loads((project / f"data/tiny/runs/{name}/run.json").read_text())["smoothing"]
        for name in ("unet@sites-1-hmm", "unet-hmm")
    )
    assert few["growth"] != every["growth"]  # of one site, not of both
    page = (project / "data/tiny/report/index.html").read_text()
    assert "From few labelled sites" in page
    done = run("train", "--model", "unet", "--sites", "7", cwd=project)
    assert done.returncode == 2
    assert "There are 2 sites with labels to train on, not 7" in done.stderr
