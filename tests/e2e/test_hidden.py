"""A hidden split is published without its labels, in no file; scored where the labels are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import zarr

from minebench.files import sha256
from tests.conftest import contents, run


@pytest.fixture(scope="module")
def released(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny project with models and its activity, and what is published of it without test labels."""
    project = Path(shutil.copytree(compared, tmp_path_factory.mktemp("hidden") / "project"))
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("split: {", "split: {hidden: [test], "))
    before = contents(project / "data/tiny/index")
    words = [
        ["tile"], ["compare"], ["predict", "--model", "fc-siam-diff", "--split", "all"], ["activity"],
        ["catalog"], ["report"],
    ]  # fmt: skip
    for own in words:
        assert (done := run(*own, cwd=project)).returncode == 0, (own, done.stderr)
    after = contents(project / "data/tiny/index")
    assert {name: after[name] for name in before} == before  # hiding changes nothing that is made
    out = project.parent / "release"
    done = run("publish", str(out), "--version", "1.0", cwd=project)
    assert done.returncode == 0, done.stderr
    return project, out


def sites(project: Path, split: str) -> list[str]:
    tiles = pd.read_parquet(project / "data/tiny/index/tiles.parquet")
    return sorted(tiles.site_id[tiles.split == split].unique())


def test_masks_of_the_hidden_split_are_unknown_everywhere(released: tuple[Path, Path]) -> None:
    project, out = released
    for split, is_hidden in (("test", True), ("train", False)):
        for site in sites(project, split):
            mine = zarr.open_group(out / f"data/tiny/cubes/{site}.zarr", mode="r")["mine"][:]
            assert (mine == 255).all() == is_hidden
            for path in (out / "catalogs/tiny/stac" / site).glob("*/mine.tif"):
                with rasterio.open(path) as file:
                    assert (file.read(1) == 255).all() == is_hidden
    (hidden,) = sites(project, "test")
    own = zarr.open_group(project / f"data/tiny/cubes/{hidden}.zarr", mode="r")["mine"][:]
    assert (own == 1).any()  # ours are as they were


def test_no_table_holds_them(released: tuple[Path, Path]) -> None:
    project, out = released
    (hidden,) = sites(project, "test")
    index = out / "data/tiny/index"
    tiles = pd.read_parquet(index / "tiles.parquet")
    own = set(tiles.tile_id[tiles.site_id == hidden])
    assert tiles.equals(pd.read_parquet(project / "data/tiny/index/tiles.parquet"))
    pairs = pd.read_parquet(index / "pairs.parquet")
    whole = pd.read_parquet(project / "data/tiny/index/pairs.parquet")
    assert pairs[["tile_id", "t1", "t2", "split"]].equals(whole[["tile_id", "t1", "t2", "split"]])
    assert pairs.changed[pairs.tile_id.isin(own)].sum() == 0 < whole.changed[whole.tile_id.isin(own)].sum()
    periods = pd.read_parquet(index / "tile_periods.parquet")
    assert (periods.unknown_fraction[periods.tile_id.isin(own)] == 1).all()
    predictions = out / "data/tiny/predictions"  # what was seen there, by a model
    for path in sorted(out.rglob("*.parquet")):
        if path.is_relative_to(predictions):
            continue
        table = pd.read_parquet(path)
        if "site_id" in table:
            numbers = table[table.site_id == hidden].filter(regex="footprint_.*km2|changed_km2|known_km2")
            assert not np.nansum(numbers.to_numpy(float)), path
    intervals = pd.read_parquet(index / "activity/intervals.parquet")
    labels = intervals[(intervals.site_id == hidden) & (intervals.source == "labels")]
    assert not np.nansum(labels.filter(regex="_m2$").to_numpy(float))


def test_no_file_is_the_same_as_one_that_holds_them(released: tuple[Path, Path]) -> None:
    """Of the files of the hidden site only images, and what a model predicted, are those of the project."""
    project, out = released
    (hidden,) = sites(project, "test")
    ours = {sha256(path) for path in (project / "catalogs/tiny/stac" / hidden).glob("*/*") if path.is_file()}
    theirs = [path for path in (out / "catalogs/tiny/stac" / hidden).glob("*/*") if sha256(path) in ours]
    assert {path.name for path in theirs} <= {
        "clear.tif", "preview.png", "reflectance.tif", "thumbnail.png", "visual.tif"
    }  # fmt: skip
    assert "report" in [path.name for path in (out / "data/tiny").iterdir()]
    assert sha256(out / "data/tiny/report/index.html") != sha256(project / "data/tiny/report/index.html")


def test_it_says_so_and_what_is_to_be_predicted(released: tuple[Path, Path]) -> None:
    project, out = released
    assert "The labels of the test split are not part of this release" in (out / "README.md").read_text()
    for task in ("change", "segmentation"):
        listed = pd.read_csv(out / f"expected/test-{task}.csv")
        assert set(listed.site_id) == set(sites(project, "test"))
    assert "expected/test-change.csv" in (out / "SHA256SUMS").read_text()
    assert (project / "catalogs/tiny/releases/1.0.parquet").is_file()
    again = run("publish", str(out), "--version", "1.0", cwd=project)
    assert again.returncode == 0, again.stderr


def test_a_submission_is_scored_where_the_labels_are_and_nowhere_else(
    released: tuple[Path, Path], tmp_path: Path
) -> None:
    project, _ = released
    empty = tmp_path / "empty"
    assert run("score", "--template", str(empty), cwd=project).returncode == 0
    done = run("score", str(empty), "--name", "nothing", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["pixels"].values()) > 0
    public = project / "data/tiny/public"
    shutil.copy(project / "params.yaml", public)
    done = run("score", str(empty), "--name", "nothing", cwd=public)
    assert done.returncode == 2
    assert "has no labels of the test split" in done.stderr


def test_more_is_hidden_when_the_recipe_hides_more(built: Path, tmp_path: Path) -> None:
    """Splits by tile: a site has hidden and shown tiles, and a second release hides more of them."""
    project = Path(shutil.copytree(built, tmp_path / "project"))
    recipe, out = project / "catalogs/tiny/recipe.yaml", tmp_path / "release"
    text = recipe.read_text()
    recipe.write_text(text.replace("split: {", "split: {by: tile, hidden: [val], "))
    measured = []
    for stage in ("tile", "activity", "catalog"):
        assert (done := run(stage, cwd=project)).returncode == 0, done.stderr
    for hidden in (["val"], ["val", "test"]):
        said = f"split: {{by: tile, hidden: [{', '.join(hidden)}], "
        recipe.write_text(text.replace("split: {", said))
        done = run("publish", str(out), cwd=project)
        assert done.returncode == 0, done.stderr
        known = set()
        for tile in pd.read_parquet(project / "data/tiny/index/tiles.parquet").itertuples():
            window = ((tile.y0, tile.y0 + tile.height), (tile.x0, tile.x0 + tile.width))
            for path in (out / "catalogs/tiny/stac" / tile.site_id).glob("*/mine.tif"):
                with rasterio.open(path) as file:
                    known |= {tile.split} if (file.read(1, window=window) != 255).any() else set()
        assert known == {"train", "val", "test"} - set(hidden)
        intervals = pd.read_parquet(out / "data/tiny/index/activity/intervals.parquet")
        measured.append(intervals[intervals.source == "labels"].known.sum())
    assert 0 < measured[1] < measured[0]
