"""The benchmark of real images: its recipe, its rule for labels, and a plot of it where the images are."""

import hashlib
import importlib.util
import zipfile
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
import xarray as xr

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.cubes import annotate
from pipeline.sites import build
from tests.conftest import ROOT, make_project, run

FOLDER = ROOT / "catalogs/romania"
YEARS = (2016, 2017, 2018, 2019, 2020)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rule() -> ModuleType:
    return script("label_by_rule")


def made_cube(index: np.ndarray, clear: np.ndarray) -> xr.Dataset:
    """A cube with one date a July, of a vegetation index and clear pixels (year, y, x)."""
    near = np.full(index.shape, 3000.0)
    red = near * (1 - index) / (1 + index)
    days = np.array([f"{year}-07-10" for year in YEARS], "datetime64[ns]")
    layers = {"B4": red, "B8": near, "SCL": np.where(clear, 4, 9)}
    return xr.Dataset({name: (("time", "y", "x"), one) for name, one in layers.items()}, {"time": days})


def test_recipe_says_that_labels_are_by_rule() -> None:
    loaded = recipe.load(FOLDER / "recipe.yaml")
    assert [period.label for period in loaded.periods.periods()] == [str(year) for year in YEARS]
    assert loaded.source.name == "local"
    assert "not by a person" in loaded.labels.meaning
    assert "by rule" in loaded.title


def test_clouds_do_not_count(rule: ModuleType) -> None:
    index, clear = np.full((5, 12, 12), 0.9), np.ones((5, 12, 12), bool)
    index[1, :5], clear[1, :5] = 0.1, False
    cube = made_cube(index, clear)
    seen = rule.summer_index(cube, 2017)
    assert np.isnan(seen[: 5 + rule.MARGIN]).all()
    np.testing.assert_allclose(seen[5 + rule.MARGIN :], 0.9, atol=1e-6)
    np.testing.assert_allclose(rule.summer_index(cube, 2018), 0.9, atol=1e-6)


def test_what_was_cleared_stays_cleared(rule: ModuleType) -> None:
    index, cover = np.full((5, 12, 12), 0.9), np.full((6, 6), 80.0)
    index[2, 2:5, 2:5] = 0.5  # a clear-cut of 2018, green a year later
    index[3, 8, 8:11] = 0.5  # three pixels: a speck
    index[4, 7, 0] = np.nan
    masks = rule.cleared(index, cover)
    assert [int(mask.sum()) for mask in masks] == [0, 0, 9, 9, 9]
    assert masks[4, 2:5, 2:5].all()


def test_ground_far_from_trees_is_not_labelled(rule: ModuleType) -> None:
    index, cover = np.full((5, 12, 12), 0.5), np.zeros((6, 6))
    cover[:, 0] = 80
    masks = rule.cleared(index, cover)
    assert masks[:, :, :4].all()
    assert not masks[:, :, 4:].any()


def test_a_plot_with_nothing_cleared_is_labelled_too(rule: ModuleType, tmp_path: Path) -> None:
    masks = np.zeros((5, 12, 12), bool)
    masks[3:, 2:5, 2:5] = True
    table = rule.outlines(masks, 5_272_000, 2_533_000)
    assert table[table.kind == "open"].area.tolist() == [0, 0, 0, 900, 900]
    table.to_parquet(tmp_path / "cleared.parquet")
    loaded = recipe.load(FOLDER / "recipe.yaml")
    rows = annotate.read_file(tmp_path / "cleared.parquet", loaded)
    assert sorted(set(rows.when)) == [str(year) for year in YEARS]
    assert rows[rows.nothing].geometry.map(lambda shape: shape.area > 0).all()


def test_plots_lie_apart_and_are_split() -> None:
    loaded = recipe.load(FOLDER / "recipe.yaml")
    sites = build.lay_out(BenchmarkPaths("romania", ROOT), loaded)
    assert set(zip(sites.height, sites.width, strict=True)) == {(28, 28)}
    plots = sites.to_crs(32634).geometry.to_numpy()
    apart = [one.distance(other) for one, other in combinations(plots, 2)]
    assert len(plots) == 9
    assert min(apart) > 5


def test_only_the_expected_files_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = script("get_images")
    members = tuple((name, hashlib.sha256(name.encode()).hexdigest()) for name, _ in images.MEMBERS)
    monkeypatch.setattr(images, "MEMBERS", members)
    for damaged in (False, True):
        with zipfile.ZipFile(tmp_path / "nrt.whl", "w") as wheel:
            for name, _ in members:
                wheel.writestr(name, name + "!" * damaged)
        folder = tmp_path / f"images-{damaged}"
        if damaged:
            with pytest.raises(ValueError, match="is not the file"):
                images.unpack(tmp_path / "nrt.whl", folder)
        else:
            images.unpack(tmp_path / "nrt.whl", folder)
        assert images.is_there(folder) is not damaged


@pytest.mark.slow
def test_a_plot_of_the_real_images(shared: Path, rule: ModuleType, tmp_path: Path) -> None:
    images = shared / "real/nrt-romania-s2"
    if not images.is_dir():
        pytest.skip(f"there is no {images}")
    text = (FOLDER / "recipe.yaml").read_text()
    for whole, part in (('"2016", end: "2020"', '"2018", end: "2019"'), ("[6, 8]", "[7, 7]")):
        assert whole in text
        text = text.replace(whole, part)  # fewer dates to read
    project = make_project(tmp_path, text)
    folder = project / "catalogs/tiny"
    (project / "catalogs/romania").mkdir()
    (project / "catalogs/romania/images").symlink_to(images)
    plots = (FOLDER / "mines/plots.csv").read_text().splitlines()
    (folder / "mines/plots.csv").write_text("\n".join([plots[0], plots[5]]))
    with (
        xr.open_dataset(images / rule.CUBE.name) as cube,
        rasterio.open(images / rule.TREE_COVER.name) as cover,
    ):
        index = np.stack([rule.summer_index(cube, year) for year in YEARS])
        masks = rule.cleared(index, cover.read(1).astype(float))
        table = rule.outlines(masks, float(cube.x[0]) - 5, float(cube.y[0]) + 5)
    assert masks.sum(axis=(1, 2)).tolist() == [55, 518, 620, 1122, 1438]
    table.to_parquet(folder / "annotations/cleared.parquet")
    for stage in ("sites", "fetch", "compose", "annotate"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    (path,) = (project / "data/tiny/cubes").iterdir()
    made = xr.open_zarr(path, mask_and_scale=False).load()
    assert (made.clear > 0).all()
    before, after = made.mine.mean(("y", "x")).to_numpy()
    assert before < 0.05 < 0.15 < after < 0.25
    red, near = (made.reflectance.sel(band=band).astype(float) for band in ("B4", "B8"))
    vegetation = ((near - red) / (near + red)).isel(time=1)
    mine = made.mine.isel(time=1)
    assert vegetation.where(mine == 1).median() < 0.8 < vegetation.where(mine == 0).median()
