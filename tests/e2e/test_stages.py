"""Fetch, compose, annotate and the cube, on the built tiny project."""

import json
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr

from minebench import periods, tables
from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline import recipe, sources
from pipeline.cubes import annotate, period_image
from pipeline.cubes.kept_scenes import KeptScenes
from pipeline.recipe import Selection
from pipeline.scenes import scene_table, selection
from pipeline.scenes.status import Status
from pipeline.scenes.store import SceneStore
from pipeline.sensors.classes import ClearRule
from pipeline.sources import protocol
from tests.conftest import run


def test_every_candidate_has_its_fate(built: Path) -> None:
    scenes = pd.read_parquet(built / "data/tiny/index/scenes.parquet")
    assert list(scenes) == list(scene_table.ROW)
    assert (scenes.selected == (scenes.reason == "")).all()
    assert (scenes.selected == (scenes.status == Status.CHOSEN)).all()
    assert scenes.groupby("site_id").scene_id.apply(lambda s: s.is_unique).all()
    read = scenes.clear.notna()
    assert scenes[read].clear.between(0, 1).all()
    assert not scenes[~read].selected.any()
    assert scenes[scenes.selected].day_clear.ge(0.2).all()


def test_clear_fraction_follows_the_true_mask(built: Path) -> None:
    """Where the archive says cloud, we must rarely say clear."""
    benchmark = BenchmarkPaths("tiny", built)
    loaded = recipe.load(benchmark.recipe)
    source = sources.open(benchmark, loaded)
    missed = cloudy = 0
    for site in tables.read_geo(benchmark.table("sites"), "sites").itertuples():
        for scene in source.search(site.geometry, date(2020, 1, 1), date(2024, 1, 1)):
            folder = benchmark.archive / site.site_id / scene.id
            with rasterio.open(folder / "true_mask.tif") as truth, rasterio.open(folder / "SCL.tif") as scl:
                clear = selection.clear_pixels(scl.read(1), loaded.selection.clear)
                cloud = truth.read(1) == 1
            missed += int((clear & cloud).sum())
            cloudy += int(cloud.sum())
    assert cloudy > 10_000
    assert missed / cloudy < 0.02


def candidate(day: int, clear: float, cover: float | None = None) -> selection.Candidate:
    scene = protocol.Scene(f"s{day}", datetime(2020, 6, day, tzinfo=UTC), {}, "x", cloud_cover=cover)
    pixels = np.zeros(100, bool)
    pixels[: round(clear * 100)] = True
    return selection.Candidate(scene, date(2020, 6, day), 0, clear, clear_pixels=pixels)


def choose(candidates: list[selection.Candidate], **rule: object) -> list[str]:
    selection.choose(candidates, np.ones(100, bool), Selection(**rule))
    return [c.scene.id for c in candidates if c.selected]


def test_policies() -> None:
    def made() -> list[selection.Candidate]:
        return [candidate(1, 0.5), candidate(2, 0.9), candidate(3, 0.9), candidate(4, 0.1)]

    assert choose(made(), policy="least_cloudy") == ["s2"]
    assert choose(made(), policy="composite") == ["s1", "s2", "s3"]
    assert choose(made(), policy="composite", max_days=1) == ["s2"]
    found = made()
    assert choose(found, policy="least_cloudy", min_clear=0.95) == []
    assert all(c.fate.status == Status.NOT_CLEAR and "less than 95%" in c.fate.reason for c in found)


def test_granules_of_a_day_stand_together() -> None:
    left, right = candidate(1, 0.5), candidate(1, 0.5)
    right.clear_pixels = ~left.clear_pixels
    other = candidate(2, 0.8)
    assert choose([left, right, other], policy="least_cloudy") == ["s1", "s1"]
    assert left.day_clear == 1


def test_owner_prefers_clear_then_data() -> None:
    a = np.array([[4, 4, 9, 9, 0]], np.uint8).repeat(6, 0)
    b = np.array([[4, 0, 4, 9, 4]], np.uint8).repeat(6, 0)
    owner, clear = period_image.owner_and_clear([a, b], ClearRule((4, 5, 6, 7), 0))
    assert owner[0].tolist() == [0, 0, 1, 0, 1]
    assert clear[0].tolist() == [1, 1, 1, 0, 1]


def test_cube_opens_and_says_what_it_is(built: Path) -> None:
    benchmark = BenchmarkPaths("tiny", built)
    site = next(gpd.read_parquet(benchmark.table("sites")).itertuples())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cube = xr.open_zarr(benchmark.cube(site.site_id))
    import rioxarray  # noqa: F401

    assert cube.rio.crs.to_epsg() == site.epsg
    assert cube.reflectance.dims == ("time", "band", "y", "x")
    assert cube.band.values.tolist() == ["B02", "B03", "B04", "B08", "B11"]
    assert float(cube.x[0]) == site.left + 5
    assert float(cube.y[0]) == site.top - 5
    assert cube.attrs["periods"] == [str(t)[:4] for t in cube.time.values]
    assert float(cube.reflectance.max()) < 1.5
    raw = xr.open_zarr(benchmark.cube(site.site_id), mask_and_scale=False)
    assert raw.reflectance.dtype == np.uint16
    assert (raw.reflectance.attrs["_FillValue"], raw.reflectance.attrs["scale_factor"]) == (0, 1e-4)
    # Nothing clear, nothing shown; and the other way round.
    nothing = (raw.clear == 0).values[:, None].repeat(5, 1)
    assert ((raw.reflectance.values == 0) == nothing).all()
    assert set(np.unique(raw.mine)) <= {0, 1}
    assert sum(path.is_file() for path in benchmark.cube(site.site_id).rglob("*")) < 20


def test_masks_are_the_published_footprints(built: Path) -> None:
    benchmark = BenchmarkPaths("tiny", built)
    truth = gpd.read_parquet(benchmark.archive / "footprints.parquet")
    sites = gpd.read_parquet(benchmark.table("sites"))
    assert len(sites) == 3
    for site in sites.itertuples():
        cube = xr.open_zarr(benchmark.cube(site.site_id), mask_and_scale=False)
        assert cube.attrs["periods"] == ["2021", "2022", "2023"]
        for label, mask in zip(cube.attrs["periods"], cube.mine.values, strict=True):
            row = truth[(truth.site_id == site.site_id) & (truth.year == int(label))].geometry.to_crs(
                site.epsg
            )
            inside = shapely.intersection(row.iloc[0], shapely.box(
                site.left, site.top - site.height * 10, site.left + site.width * 10, site.top))  # fmt: skip
            assert mask.sum() * 100 == pytest.approx(inside.area, rel=1e-3)


def labels(folder: Path, rows: list[dict]) -> Path:
    path = folder / "catalogs/tiny/annotations/labels.gpkg"
    gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).to_file(path)
    text = (folder / "catalogs/tiny/recipe.yaml").read_text()
    (folder / "catalogs/tiny/recipe.yaml").write_text(text.replace("source: archive", "source: annotations"))
    return path


def test_annotations_by_year_leave_other_periods_unknown(project: Path) -> None:
    benchmark = BenchmarkPaths("tiny", project)
    sites = gpd.read_parquet(benchmark.table("sites"))
    site = sites.iloc[0]
    small = shapely.Point(*site.geometry.centroid.coords[0]).buffer(0.002)
    labels(project, [{"year": 2021, "geometry": small}, {"year": 2022, "geometry": None}])
    done = run("annotate", cwd=project)
    assert done.returncode == 0, done.stderr
    cube = xr.open_zarr(benchmark.cube(site.site_id), mask_and_scale=False)
    by_label = dict(zip(cube.attrs["periods"], cube.mine.values, strict=True))
    assert set(np.unique(by_label["2023"])) == {255}
    assert set(np.unique(by_label["2022"])) == {0}
    assert set(np.unique(by_label["2021"])) == {0, 1}
    elsewhere = xr.open_zarr(benchmark.cube(sites.site_id.iloc[1]), mask_and_scale=False)
    assert (elsewhere.mine.values[0] == 255).all()
    assert "all sites are up to date" in run("annotate", cwd=project).stdout


@pytest.mark.parametrize(
    ("label", "period", "expected"),
    [
        ("2020", "2020", True), ("2020", "2021", False), ("2020-07", "2020", True),
        ("2020", "2020-07", True), ("2020-07-09", "2020-07", True), ("2020-08-01", "2020-07", False),
    ],
)  # fmt: skip
def test_when_an_annotation_counts(label: str, period: str, expected: bool) -> None:
    assert annotate.covers(label, periods.parse(period)) is expected


def test_bad_annotations_name_the_row(project: Path) -> None:
    benchmark = BenchmarkPaths("tiny", project)
    box = shapely.box(14, 51, 14.1, 51.1)
    labels(project, [{"year": "2021", "geometry": box}, {"year": "lately", "geometry": box}])
    with pytest.raises(InputError, match=r"labels\.gpkg row 2, year: 'lately' is not a date"):
        annotate.read_labels(benchmark, recipe.load(benchmark.recipe))


def test_least_cloudy_keeps_pixels_as_seen(project: Path) -> None:
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("policy: composite", "policy: least_cloudy"))
    for stage in ("fetch", "compose", "annotate"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    scenes = pd.read_parquet(project / "data/tiny/index/scenes.parquet")
    assert scenes[scenes.selected].groupby(["site_id", "period"]).day.nunique().max() == 1
    benchmark = BenchmarkPaths("tiny", project)
    for site in gpd.read_parquet(benchmark.table("sites")).site_id:
        cube = xr.open_zarr(benchmark.cube(site), mask_and_scale=False)
        assert int(cube.clear.max()) <= 1
        unclear = (cube.clear == 0).values
        assert unclear.sum() == 0 or (cube.reflectance.values.min(axis=1)[unclear] > 0).mean() > 0.5


def test_medoid_is_an_observation(project: Path) -> None:
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("policy: composite", "composite: medoid"))
    assert run("compose", cwd=project).returncode == 0
    benchmark = BenchmarkPaths("tiny", project)
    loaded = recipe.load(benchmark.recipe)
    site = next(gpd.read_parquet(benchmark.table("sites")).itertuples())
    cube = xr.open_zarr(benchmark.cube(site.site_id), mask_and_scale=False)
    reader = KeptScenes(SceneStore(benchmark.scenes(site.site_id)), loaded.profile)
    red = cube.reflectance.sel(band="B04").values[0]
    candidates = np.stack([reader.band(s, "B04")[: red.shape[0], : red.shape[1]]
                           for s in cube.attrs["scenes"][cube.attrs["periods"][0]]
                           if reader.band(s, "B04").shape == red.shape])  # fmt: skip
    assert ((candidates == red).any(axis=0) | (red == 0)).mean() > 0.99


def test_scenes_are_chosen_anew_only_when_asked(project: Path) -> None:
    """Metadata that changes behind a frozen choice changes nothing, until `--refresh`."""
    benchmark = BenchmarkPaths("tiny", project)
    before = tables.read(benchmark.table("scenes"), "fetch")
    for path in benchmark.archive.glob("*/*/*.json"):
        item = json.loads(path.read_text())
        item["properties"]["eo:cloud_cover"] = 100.0
        path.write_text(json.dumps(item))
    for folder in (project / "data" / "tiny" / "scenes").iterdir():
        for path in folder.glob("*.tif"):
            path.unlink()
    assert run("fetch", cwd=project).returncode == 0
    pd.testing.assert_frame_equal(tables.read(benchmark.table("scenes"), "fetch"), before)
    assert run("fetch", "--refresh", cwd=project).returncode == 0
    after = tables.read(benchmark.table("scenes"), "fetch")
    assert not after.selected.any()
    assert after.reason.str.contains("cloud cover of the scene is 100 %").all()
