"""Ground in two AOIs is counted once, clipped or merged, by the recipe."""

from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.geo import geodesy
from pipeline.sites import build, overlaps
from tests.conftest import RECIPE, make_project

BOXES = st.lists(
    st.tuples(st.floats(14, 14.2), st.floats(51, 51.2), st.floats(0.01, 0.08), st.floats(0.01, 0.08)),
    min_size=2,
    max_size=7,
)


def table(boxes: list[tuple[float, float, float, float]]) -> gpd.GeoDataFrame:
    shapes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes]
    return gpd.GeoDataFrame(
        {"site_id": [f"s{i}" for i in range(len(shapes))], "area_km2": [b[2] * b[3] for b in boxes]},
        geometry=shapes, crs=4326,
    )  # fmt: skip


@settings(max_examples=60)
@given(BOXES)
def test_what_is_left_covers_the_ground_once(boxes: list[tuple[float, float, float, float]]) -> None:
    sites = table(boxes)
    theirs = overlaps.shared_ground(sites, 0)
    left = [a if b is None else a.difference(b) for a, b in zip(sites.geometry, theirs, strict=True)]
    union = shapely.union_all(sites.geometry.to_numpy())
    assert sum(map(geodesy.area_km2, left)) == pytest.approx(geodesy.area_km2(union), rel=1e-3)


THIRDS = "{train: 0.34, val: 0.33, test: 0.33}"


def laid_out(folder: Path, overlap: str, split: str = THIRDS) -> tuple[recipe.Recipe, gpd.GeoDataFrame]:
    """Two mines 0.7 km apart with AOIs of 1 km, and one by itself; two dates of two scenes each."""
    text = RECIPE.replace(
        "point_radius_m: 400, buffer_m: 90, min_size_m: 960", f"point_radius_m: 500, overlap: {overlap}"
    )
    text = text.replace('end: "2023"', 'end: "2022"').replace(THIRDS, split)
    text = text.replace("scenes_per_period: 4", "scenes_per_period: 2")
    mines = "name,lon,lat,production\nA,14.2,51.6,coal\nB,14.21,51.6,coal\nC,14.9,51.6,coal\n"
    if not (folder / "project").exists():
        make_project(folder / "project", RECIPE, mines)
    benchmark = BenchmarkPaths("tiny", folder / "project")
    benchmark.recipe.write_text(text)
    loaded = recipe.load(benchmark.recipe)
    return loaded, build.lay_out(benchmark, loaded)


def test_merged_sites_are_one(tmp_path: Path) -> None:
    _, sites = laid_out(tmp_path, "merge")
    assert sorted(sites.mines) == [1, 2]
    assert sites.elsewhere.isna().all()


def test_clipped_aois_end_where_the_other_begins(tmp_path: Path) -> None:
    loaded, sites = laid_out(tmp_path, "clip")
    assert len(sites) == 3
    assert not overlaps.pairs(list(sites.geometry), loaded.sensor.resolution**2 / 1e6)
    assert sites.elsewhere.notna().sum() == 1
