"""Published files as benchmarks: written here in exactly the layouts their authors use."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
import zarr

from models import data
from pipeline.catalog import check
from pipeline.core import layout
from pipeline.core.errors import InputError
from pipeline.interchange import ingest
from tests import published
from tests.conftest import contents, make_project, run


def ingested(root: Path, name: str, kind: str, path: Path) -> tuple[layout.Benchmark, ingest.Ingested]:
    """What is made of files in this process; the command line does it in two."""
    benchmark, recipe = ingest.prepare(name, kind, path, root)
    return benchmark, ingest.run(benchmark, recipe, 1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[layout.Benchmark, Path]:
    """MineNetCD256 from folders, and the files it came from."""
    root = tmp_path_factory.mktemp("ingest")
    files = published.minenetcd_folders(root / "files")
    return ingested(root, "mines", "minenetcd256", files)[0], files


def test_tiles_of_minenetcd_are_the_published_ones(folders) -> None:
    benchmark, _ = folders
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert tiles.split.value_counts().to_dict() == published.COUNTS
    for split, count in published.COUNTS.items():
        pairs = data.open(benchmark.data, split=split)
        assert len(pairs) == count
        for k in (0, count - 1):
            a, b, label = published.pair(k)
            item = pairs[k]
            assert np.array_equal(item["label"].numpy() * 255, label)
            for key, image in (("a", a), ("b", b)):
                scaled = pairs.scale.apply(image)
                assert np.allclose(item[key].numpy(), scaled)
    named = pd.read_parquet(benchmark.table("imported"))
    assert named.file.iloc[0].startswith("test/A/0000_site0")
    assert len(named) == sum(published.COUNTS.values())
    assert check.check(benchmark) > 0


def test_the_hugging_face_form_makes_the_same_cubes(folders, tmp_path: Path) -> None:
    files = published.minenetcd_parquet(tmp_path / "files")
    other, made = ingested(tmp_path, "mines", "minenetcd256", files)
    assert made.tiles == sum(published.COUNTS.values())
    for name in ("train-0000", "train-0001", "val-0000", "test-0000"):
        for array in ("image", "change", "mine", "clear"):
            pair = [zarr.open_group(b.cube(name), mode="r")[array][:] for b in (folders[0], other)]
            assert np.array_equal(*pair), (name, array)


def test_tiles_without_a_place_have_no_neighbours_and_no_leakage_figure(folders) -> None:
    benchmark, _ = folders
    with pytest.raises(InputError, match="no neighbours"):
        data.open(benchmark.data, neighbours=True)
    assert pd.read_parquet(benchmark.table("statistics/leakage")).share.isna().all()


def test_dates_known_by_range_only_are_not_made_up(folders) -> None:
    benchmark, _ = folders
    each = pd.read_parquet(benchmark.table("statistics/sites"))
    assert len(each) == 4
    assert each.months.isna().all()
    assert pd.read_parquet(benchmark.table("statistics/acquisitions")).first_day.isna().all()
    card = (benchmark.stac / "README.md").read_text()
    assert "4 sites, 2 periods from before to after" in card


def test_facilities_of_oms2cd_by_the_command_which_goes_on_where_it_stopped(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    files = published.oms2cd(tmp_path / "files")
    words = ("ingest", "oms", "--from", "oms2cd", "--path", str(files))
    done = run(*words, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "3 sites and 6 tiles" in done.stdout
    benchmark = layout.Benchmark("oms", project)
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert set(zip(pairs.t1, pairs.t2, strict=True)) == {
        ("2018-01", "2018-03"), ("2018-03", "2018-05"), ("2018-01", "2018-08"),
    }  # fmt: skip
    assert pairs.expanded.isna().all()
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert tiles.x0.unique().tolist() == [0, 100]
    cube = xr.open_zarr(benchmark.cube(tiles.site_id[0]))
    assert cube.rio.crs.to_epsg() == 32633
    assert int(cube.aoi.sum()) == 260 * 340
    change = pd.read_parquet(benchmark.table("statistics/sites")).changed_km2
    assert change.gt(0).all()
    assert sorted(pd.read_parquet(benchmark.table("sites")).site_id) == sorted(tiles.site_id.unique())
    before = contents(project / "data/oms/cubes")
    benchmark.table("pairs").unlink()
    assert run(*words, cwd=project).returncode == 0
    assert contents(project / "data/oms/cubes") == before
    assert benchmark.table("pairs").is_file()


def test_scenes_and_masks_of_eurominenet_and_a_mended_label(tmp_path: Path) -> None:
    files = published.euromine(tmp_path / "files")
    benchmark, made = ingested(tmp_path, "euro", "euromine", files)
    assert made.left_out == ("Germany_5: in no split",)
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert set(tiles.split) == {"train", "val", "test"}
    assert (tiles.pad_y == 51).all()
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert len(pairs) == 3 * len(tiles)
    image, mask = published.scene(0, (109, 286), bands=10, grown=6)
    cube = zarr.open_group(benchmark.cube("germany-1"), mode="r")
    assert np.array_equal(cube["reflectance"][2], image.astype(np.uint16) * 20)
    assert np.array_equal(cube["mine"][2], mask)
    short = zarr.open_group(benchmark.cube("germany-2"), mode="r")["mine"][1]
    assert (short[-1] == 255).all()
    assert (short[:-1] != 255).all()
    countries = pd.read_parquet(benchmark.table("statistics/by_country"))
    assert countries.country.tolist() == ["DEU"]
    before = contents(benchmark.data / "cubes")
    published.tif(files / "Germany_1/label/Year2016.tif", np.full((109, 286), 255, np.uint8), (3e5, 5.5e6))
    ingested(tmp_path, "euro", "euromine", files)
    after = contents(benchmark.data / "cubes")
    assert (zarr.open_group(benchmark.cube("germany-1"), mode="r")["mine"][1] == 1).all()
    changed = {name.split("/")[0] for name in after if after[name] != before[name]}
    assert changed == {"germany-1.zarr"}


def test_images_and_masks_of_years_in_one_folder(tmp_path: Path) -> None:
    published.euromine(tmp_path / "made", sites=4)
    for path in sorted((tmp_path / "made").rglob("*.tif")):
        suffix = "_mask.tif" if path.parent.name == "label" else ".tif"
        target = tmp_path / "files" / path.parents[1].name / f"{path.stem[-4:]}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    benchmark, made = ingested(tmp_path, "euro", "euromine", tmp_path / "files")
    assert (made.sites, made.left_out) == (4, ())
    image, mask = published.scene(0, (109, 286), bands=10, grown=2)
    cube = zarr.open_group(benchmark.cube("germany-1"), mode="r")
    assert np.array_equal(cube["reflectance"][1], image.astype(np.uint16) * 20)
    assert np.array_equal(cube["mine"][1], mask)
    # Nothing is said of splits: they are made, by site.
    assert set(pd.read_parquet(benchmark.table("tiles")).split) == {"train", "val", "test"}


def test_pixels_in_degrees_stay_in_degrees(tmp_path: Path, monkeypatch) -> None:
    written = published.tif

    def in_degrees(path: Path, pixels: np.ndarray, place: tuple[float, float]) -> None:
        written(path, pixels, (14 + (place[0] - 3e5) / 1e6, 51.0), "EPSG:4326", 9e-5)

    monkeypatch.setattr(published, "tif", in_degrees)
    benchmark, _ = ingested(tmp_path, "oms", "oms2cd", published.oms2cd(tmp_path / "files"))
    sites = pd.read_parquet(benchmark.table("sites"))
    cube = xr.open_zarr(benchmark.cube(sites.site_id[0]))
    assert cube.rio.crs.to_epsg() == 4326
    assert dict(cube.sizes) == {"time": 4, "band": 3, "y": 300, "x": 380, "pair": 3}
    assert float(cube.x[0]) == pytest.approx(sites["left"][0] + 4.5e-5)
    known = pd.read_parquet(benchmark.table("statistics/sites")).known_km2[0]
    assert known == pytest.approx(sites.area_km2[0], rel=0.005)
    assert check.check(benchmark) > 0


def test_tiles_cut_by_eurominenets_own_script(tmp_path: Path) -> None:
    files = published.euromine_tiles(tmp_path / "files")
    benchmark, made = ingested(tmp_path, "euro", "euromine", files)
    assert (made.sites, made.tiles) == (3, 33)
    series = data.open(benchmark.data, task="series", split="train")
    image, mask = published.scene(10, (published.SIDE, published.SIDE), bands=10, grown=1)
    item = series[10]
    assert np.array_equal(item["masks"][1].numpy(), mask)
    assert np.allclose(item["images"][1].numpy(), series.scale.apply(image.astype(np.uint16) * 20))


def no_label(path: Path) -> None:
    next((path / "val/label").iterdir()).unlink()


def not_a_picture(path: Path) -> None:
    next((path / "val/B").iterdir()).write_text("no picture")


def another_size(path: Path) -> None:
    next((path / "test/A").iterdir()).write_bytes(published.png(np.zeros((3, 20, 20), np.uint8)))


@pytest.mark.parametrize(
    ("harm", "message"),
    [(no_label, "has no counterpart"), (not_a_picture, "not a picture"), (another_size, "20 x 20 pixels")],
)
def test_bad_files_are_named(folders, tmp_path: Path, harm, message: str) -> None:
    files = Path(shutil.copytree(folders[1], tmp_path / "files"))
    harm(files)
    with pytest.raises(InputError, match=message):
        ingested(tmp_path, "mines", "minenetcd256", files)
    assert not (tmp_path / "data/mines/index/tiles.parquet").exists()


@pytest.mark.parametrize("kind", ingest.READERS)
def test_an_empty_folder_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(InputError, match=str(tmp_path / "files")):
        ingested(tmp_path, "mines", kind, tmp_path / "files")
    assert [path.name for path in tmp_path.iterdir() if path.name != "catalogs"] == ["files"]
    assert not list((tmp_path / "catalogs").glob("*")) if (tmp_path / "catalogs").exists() else True


def test_the_pixel_of_files_without_a_place_may_be_told(folders, tmp_path: Path) -> None:
    _, files = folders
    for name, given, found in (("fine", None, 1.2), ("coarse", 10, 10)):
        _, loaded = ingest.prepare(name, "minenetcd256", files, tmp_path, resolution=given)
        assert loaded.sensor.resolution == found
    with pytest.raises(InputError, match="--resolution: the files of oms2cd say it themselves"):
        ingest.prepare("other", "oms2cd", published.oms2cd(tmp_path / "oms2cd"), tmp_path, resolution=10)
