import dataclasses
import os
import pty
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import zarr
from rasterio.transform import from_origin

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.cli import new
from pipeline.sites.repairs import MuchRepaired
from tests.conftest import MINEBENCH, ROOT, contents, run

SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)


def listed(path: Path, **more: object) -> Path:
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs=4326).to_file(path, **more)
    return path


@pytest.mark.parametrize("name", ["mine list.gpkg", "list.geojson", "list.shp"])
def test_scaffold_and_lay_out(empty_project: Path, tmp_path: Path, name: str) -> None:
    path = listed(tmp_path / name)
    done = run(
        "new", "ours", "--mines", str(path), "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    assert done.returncode == 0, done.stderr
    assert "new: 1 mine, 1 site, " in done.stdout
    assert "dvc repro" in done.stdout
    loaded = recipe.load(empty_project / "catalogs/ours/recipe.yaml")
    assert loaded.title == "ours (synthetic)"
    assert loaded.sites.mines == name
    done = run("sites", "--benchmark", "ours", cwd=empty_project)
    assert done.returncode == 0, done.stderr


def test_layer_is_asked_for_and_kept(empty_project: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "a.gpkg", layer="one")
    listed(path, layer="two")
    done = run(
        "new", "ours", "--mines", str(path), "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    assert done.returncode == 2
    assert "name one with --layer: one, two" in done.stderr
    done = run(
        "new",
        "ours",
        "--mines",
        str(path),
        "--layer",
        "two",
        "--like",
        "tiny",
        "--source",
        "synthetic",
        cwd=empty_project,
    )
    assert done.returncode == 0, done.stderr
    assert recipe.load(empty_project / "catalogs/ours/recipe.yaml").sites.layer == "two"


@pytest.mark.parametrize("content", ["not a list", '{"type": "FeatureCollection", "features": []}'])
def test_a_bad_file_leaves_nothing_behind(empty_project: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text(content)
    before = contents(empty_project)
    done = run(
        "new", "ours", "--mines", str(path), "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert contents(empty_project) == before
    assert sorted(p.name for p in (empty_project / "catalogs").iterdir()) == ["tiny"]


def test_comments_stay_but_for_what_is_said_of_the_other_list(empty_project: Path, tmp_path: Path) -> None:
    model = empty_project / "catalogs/tiny/recipe.yaml"
    lines = [
        "sites:",
        "  # a hundred on six continents",
        "  mines: mines.csv",
        "  geometry: extent",
        "  min_size_m: 960",
    ]
    kept = [
        line
        for line in model.read_text().replace("pairs: all", "pairs: all  # every two years").splitlines()
        if not line.startswith("sites:")
    ]
    model.write_text("\n".join(["# about the tiny list", *kept, *lines]) + "\n")
    path = listed(tmp_path / "a.geojson")
    done = run(
        "new", "ours", "--mines", str(path), "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    assert done.returncode == 0, done.stderr
    made = (empty_project / "catalogs/ours/recipe.yaml").read_text()
    assert "# every two years" in made
    assert "tiny list" not in made
    assert "continents" not in made


def test_it_says_what_the_benchmark_comes_to(empty_project: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "a.geojson")
    done = run(
        "new", "ours", "--mines", str(path), "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    # One site of some 2.2 km: 3 years, 4 scenes each, tiles of 64 pixels.
    assert "about 12 scenes to search" in done.stdout
    assert run("sites", "--benchmark", "ours", cwd=empty_project).returncode == 0
    table = pd.read_parquet(empty_project / "data/ours/index/sites.parquet")
    side = -(-int(table.height[0]) // 64)
    assert f"{side**2} tiles and {3 * side**2} pairs" in done.stdout
    assert "of disk" in done.stdout
    assert "to make the archive" in done.stdout


def test_a_dry_run_of_a_published_recipe(empty_project: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogs/minenet", empty_project / "catalogs/minenet")
    path = listed(tmp_path / "a.geojson")
    words = ("new", "trial", "--mines", str(path), "--like", "minenet", "--source", "synthetic")
    done = run(*words, cwd=empty_project)
    assert done.returncode == 0, done.stderr
    loaded = recipe.load(empty_project / "catalogs/trial/recipe.yaml")
    assert (loaded.source.name, loaded.labels.source, loaded.labels.kind) == (
        "synthetic",
        "archive",
        "change",
    )
    assert loaded.sites.limit is None
    assert loaded.title == "trial (synthetic)"


def test_a_published_lists_name_is_known(empty_project: Path) -> None:
    done = run(
        "new", "ours", "--mines", "maus-v9", "--like", "tiny", "--source", "synthetic", cwd=empty_project
    )
    assert done.returncode == 2
    assert "maus-v2" in done.stderr


def test_nobody_gets_invented_images_unasked(empty_project: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "a.geojson")
    for more in ((), ("--like", "tiny")):
        done = run("new", "ours", "--mines", str(path), *more, cwd=empty_project)
        assert done.returncode == 2
        assert "--source earthengine, stac, local, xyz, synthetic" in done.stderr
    assert not (empty_project / "catalogs/ours").exists()


@pytest.mark.parametrize("source", ["earthengine", "stac", "xyz", "synthetic", "local"])
def test_a_recipe_of_each_source(empty_project: Path, tmp_path: Path, source: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for day in ("20190611", "20210702"):
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": 8, "height": 8,
                   "crs": "EPSG:32633", "transform": from_origin(5e5, 5.7e6, 1.2, 1.2)}  # fmt: skip
        with rasterio.open(images / f"mine_{day}.tif", "w", **profile) as file:
            file.write(np.ones((3, 8, 8), np.uint8))
    words = ["new", "ours", "--mines", str(listed(tmp_path / "a.geojson")), "--source", source]
    words += ["--images", str(images)] if source == "local" else []
    done = run(*words, cwd=empty_project)
    assert done.returncode == 0, done.stderr
    text = (empty_project / "catalogs/ours/recipe.yaml").read_text()
    loaded = recipe.load(empty_project / "catalogs/ours/recipe.yaml")
    assert loaded.source.name == source
    assert loaded.labels.source == ("archive" if source == "synthetic" else "none")
    assert loaded.citation
    assert text.count("#") > 10
    assert ("synthetic" in text) == (source == "synthetic")
    if source == "local":
        assert (loaded.sensor.resolution, loaded.sensor.bands, loaded.sensor.dtype) == (
            1.2,
            ("R", "G", "B"),
            "uint8",
        )
        assert [period.label for period in loaded.periods.periods()] == ["2019", "2021"]
        scenes = loaded.source.open(loaded.setting(BenchmarkPaths("ours", empty_project))).images.files
        assert [str(file.day) for file in scenes] == ["2019-06-11", "2021-07-02"]
    if source == "xyz":
        assert "fill in the web tiles" in done.stdout


def test_split_merged_and_overlapping_mines_are_told(empty_project: Path, tmp_path: Path) -> None:
    """Two parts 20 km apart, two mines within the grouping distance, two whose AOIs overlap."""
    far = shapely.MultiPolygon([shapely.box(14.0, 51.0, 14.01, 51.01), shapely.box(14.3, 51.0, 14.31, 51.01)])
    shapes = [far, shapely.box(15, 51, 15.01, 51.01), shapely.box(15.011, 51, 15.02, 51.01),
              shapely.box(16, 51, 16.01, 51.01), shapely.box(16.03, 51, 16.04, 51.01)]  # fmt: skip
    path = tmp_path / "a.geojson"
    gpd.GeoDataFrame({"name": list("abcde")}, geometry=shapes, crs=4326).to_file(path)
    done = run("new", "ours", "--mines", str(path), "--source", "stac", cwd=empty_project)
    assert done.returncode == 0, done.stderr
    for sentence in (
        "5 mines, 5 sites",
        "1 mine became several sites, because parts lie further apart than sites.group_m (1000 m)",
        "1 site holds 2 listed shapes",
        "1 site overlaps others by",
    ):
        assert sentence in done.stdout


def test_on_a_terminal_the_source_is_asked_for(empty_project: Path, tmp_path: Path) -> None:
    """Through a real terminal: a wrong answer is asked again."""
    path = listed(tmp_path / "a.geojson")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(empty_project)
        os.execv(MINEBENCH, [str(MINEBENCH), "new", "ours", "--mines", str(path)])
    said, answers = b"", [b"somewhere\n", b"stac\n"]
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:
            break
        said += read
        if answers and said.count(b"come from?") > 2 - len(answers):
            os.write(terminal, answers.pop(0))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()
    assert recipe.load(empty_project / "catalogs/ours/recipe.yaml").source.name == "stac"


@pytest.mark.parametrize("like", [None, "tiny"])
def test_points_say_where_to_look_and_outline_nothing(
    empty_project: Path, tmp_path: Path, like: str | None
) -> None:
    path = tmp_path / "points.csv"
    path.write_text("Mine;Latitude;Longitude\nPit;51,63;14,223\nDump;52,1;14,5\n")
    more = ["--like", like] if like else []
    done = run("new", "ours", "--mines", str(path), "--source", "synthetic", *more, cwd=empty_project)
    assert done.returncode == 0, done.stderr
    loaded = recipe.load(empty_project / "catalogs/ours/recipe.yaml")
    assert loaded.sites.geometry == "extent"
    side = 2 * loaded.sites.point_radius_m / 1000
    assert f"2 points, which outline nothing: boxes of {side:g} km to look at" in done.stdout
    assert "footprint" not in done.stdout


def test_large_repairs_are_accepted_by_a_yes(empty_project: Path, tmp_path: Path) -> None:
    path = tmp_path / "bow.geojson"
    bow = shapely.Polygon([(13, 48), (13.02, 48.02), (13.02, 48), (13, 48.02)])
    gpd.GeoDataFrame({"name": ["Bow"]}, geometry=[bow], crs=4326).to_file(path)
    wanted = new.Wanted("ours", str(path), source="synthetic", like="tiny")
    with pytest.raises(MuchRepaired, match=r"row 1 \(Bow\) changes from 0\.00 to 1\.66 km²"):
        new.scaffold(wanted, empty_project)
    assert not (empty_project / "catalogs/ours").exists()
    made = new.scaffold(dataclasses.replace(wanted, yes=True), empty_project)
    assert recipe.load(made.benchmark.recipe).sites.accept_repairs
    assert any("0.00 km² as drawn, 1.66 km² now" in sentence for sentence in made.account)


def test_one_file_per_band_becomes_one_scene_per_date(tmp_path: Path) -> None:
    """Float reflectance with a cloud mask beside it, from `new` to the cube."""
    images, x, y = tmp_path / "images", 445_000, 5_721_000
    images.mkdir()
    about = {"driver": "GTiff", "count": 1, "width": 500, "height": 500, "crs": "EPSG:32633",
             "transform": from_origin(x, y, 10, 10)}  # fmt: skip
    for number, word in enumerate(("B02", "B03", "B04"), 1):
        pixels = np.full((1, 500, 500), number / 10, np.float32)
        with rasterio.open(images / f"a_2021-06-01_{word}.tif", "w", dtype="float32", **about) as file:
            file.write(pixels)
    with rasterio.open(images / "a_2021-06-01_cloudmask.tif", "w", dtype="uint8", **about) as file:
        file.write(np.zeros((1, 500, 500), np.uint8))
    (tmp_path / "list.csv").write_text("name,lon,lat\nPit,14.236,51.614\n")
    (tmp_path / "catalogs").mkdir()
    (tmp_path / "params.yaml").write_text("benchmarks: [ours]\nworkers: 1\n")
    words = ("new", "ours", "--mines", "list.csv", "--source", "local", "--images", "images")
    refused = run(*words, cwd=tmp_path)
    assert refused.returncode == 2
    assert "mask cloudmask: 0 is clear" in refused.stderr
    made = run(*words, "--yes", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "check what is a guess under source" in made.stdout
    path = tmp_path / "catalogs/ours/recipe.yaml"
    text = path.read_text()
    assert "bands: {B02: B02, B03: B03, B04: B04}" in text
    assert "scale: 1   # a guess" in text
    assert "mask: {band: cloudmask, clear: [0]}   # a guess" in text
    for stage in ("sites", "fetch", "compose"):
        assert (done := run(stage, cwd=tmp_path)).returncode == 0, done.stderr
    scenes = pd.read_parquet(tmp_path / "data/ours/index/scenes.parquet")
    assert scenes.scene_id.tolist() == ["a_2021-06-01"]
    (cube,) = (tmp_path / "data/ours/cubes").glob("*.zarr")
    pixels = zarr.open_group(cube, mode="r")["reflectance"][0]
    assert np.median(pixels, axis=(1, 2)).tolist() == [1000, 2000, 3000]
