import dataclasses

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from minebench import index as tiles
from minebench.index import wanted
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.geo import geodesy
from pipeline.index import tile
from pipeline.recipe import Tiling
from pipeline.sites import site as sites
from tests.conftest import ROOT


def count(height: int, width: int, **tiling: object) -> int:
    return len(Tiling(**tiling).corners((height, width)))


def starts(length: int, rule: Tiling) -> list[int]:
    """Where tiles start along one side."""
    return tiles.starts(length, rule.size, rule.stride or rule.size, rule.edge, rule.pad)


def test_the_smallest_scene_of_eurominenet_makes_four_tiles() -> None:
    assert count(109, 586, size=160) == 4
    rule = Tiling(size=160)
    assert starts(109, rule) == [0]
    assert starts(586, rule) == [0, 160, 320, 426]


def test_counts_of_eurominenets_table() -> None:
    """The paper gives one scene's size (the smallest, above) and the sums; sizes of the other 132 scenes
    are not published, so that the sums cannot be made from them. What follows from the sums is checked:
    ten images and 45 pairs a tile, in every split."""
    counts = {"train": 3549, "val": 573, "test": 1011}
    labels = [str(year) for year in range(2015, 2025)]
    pairs = len(wanted(labels, recipe.load(ROOT / "catalogs/euromine/recipe.yaml").pairs))
    assert sum(counts.values()) == 5133
    assert [count * len(labels) for count in counts.values()] == [35_490, 5_730, 10_110]
    assert [count * pairs for count in counts.values()] == [159_705, 25_785, 45_495]
    # 11,324.5 km² are 4,424 tiles' worth of pixels: tiles that end at the edge make them more, not fewer.
    assert 11_324.5e6 / (160 * 10) ** 2 < 5133


def test_counts_of_oms2cds_table() -> None:
    """2,130 + 463 + 342 tiles are of 70 pairs whose scenes' sizes are not published: the sums cannot be
    made from them. What one scene gives follows from size and stride, whole tiles only."""
    rule = recipe.load(ROOT / "catalogs/oms2/recipe.yaml").tiling
    assert (rule.size, rule.stride, rule.edge) == (256, 100, "drop")
    for side in (255, 256, 355, 356, 900):
        assert len(starts(side, rule)) == (0 if side < 256 else (side - 256) // 100 + 1)
    assert 2130 + 463 + 342 == 2935
    # Were all scenes alike, a pair would have 42 tiles: about 6 x 7, scenes of some 8 km.
    assert len(starts(256 + 500, rule)) * len(starts(256 + 600, rule)) == 42


def test_stride_of_oms2cd() -> None:
    assert starts(500, Tiling(size=256, stride=100)) == [0, 100, 200, 244]
    assert starts(456, Tiling(size=256, stride=100)) == [0, 100, 200]


def test_drop_and_no_padding() -> None:
    assert starts(500, Tiling(size=160, edge="drop")) == [0, 160, 320]
    assert starts(100, Tiling(size=160, pad=False)) == []


@given(st.integers(1, 2000), st.integers(8, 300), st.none() | st.integers(1, 300))
def test_shifted_tiles_cover_everything_and_stay_inside(length: int, size: int, stride: int | None) -> None:
    stride = min(stride or size, size)
    found = starts(length, Tiling(size=size, stride=stride))
    covered = np.zeros(length, bool)
    for start in found:
        covered[start : start + size] = True
        assert start + size <= max(length, size)
    assert covered.all()
    assert found == sorted(set(found))


def test_ten_periods_make_45_pairs() -> None:
    labels = [str(year) for year in range(2015, 2025)]
    assert len(wanted(labels, "all")) == 45
    assert wanted(labels, "consecutive") == [(i, i + 1) for i in range(9)]
    assert wanted(labels, "first_last") == [(0, 9)]
    assert wanted(["2015"], "first_last") == []
    assert wanted(labels, (("2018", "2016"), ("2015", "2030"))) == [(1, 3)]


def test_tables_of_the_tiny_project(built) -> None:
    index = built / "data/tiny/index"
    listed = pd.read_parquet(index / "tiles.parquet")
    pairs = pd.read_parquet(index / "pairs.parquet")
    periods = pd.read_parquet(index / "tile_periods.parquet")
    assert list(listed) == [*tile.TILE, "geometry"]
    assert list(pairs) == list(tile.PAIR)
    assert list(periods) == list(tile.TILE_PERIOD)
    assert listed.tile_id.is_unique
    assert (pairs.changed == pairs.expanded + pairs.reduced).all()
    assert (pairs.t1 < pairs.t2).all()
    assert pairs.changed.sum() > 0
    assert set(listed.split) == {"train", "val", "test"}
    assert pairs.groupby("tile_id").split.nunique().max() == 1


def test_outlines_of_tiles_are_where_the_cube_has_them(built) -> None:
    listed = gpd.read_parquet(built / "data/tiny/index/tiles.parquet")
    assert listed.crs == 4326
    aois = gpd.read_parquet(built / "data/tiny/index/sites.parquet").set_index("site_id")
    for row in listed.itertuples():
        cube = xr.open_zarr(built / f"data/tiny/cubes/{row.site_id}.zarr")
        own = cube.isel(y=slice(row.y0, row.y0 + row.height), x=slice(row.x0, row.x0 + row.width))
        outline = geodesy.project(row.geometry, 4326, int(aois.epsg[row.site_id]))
        centres = (own.x.min() - 5, own.y.min() - 5, own.x.max() + 5, own.y.max() + 5)
        assert outline.bounds == pytest.approx([float(side) for side in centres], abs=1e-3)


def test_an_older_table_gets_outlines_and_keeps_its_key(project) -> None:
    path = project / "data/tiny/index/tiles.parquet"
    whole = path.read_bytes()
    older = pd.read_parquet(path)
    older.drop(columns="geometry").to_parquet(path)
    benchmark = BenchmarkPaths("tiny", project)
    tile.build(benchmark, recipe.load(benchmark.recipe), Spread(1))
    assert path.read_bytes() == whole


def test_tiles_without_a_place_have_no_outline(built) -> None:
    benchmark = BenchmarkPaths("tiny", built)
    listed = sites.load(benchmark, recipe.load(benchmark.recipe))
    table = pd.read_parquet(benchmark.table("tiles"))
    nowhere = [dataclasses.replace(site, epsg=0) for site in listed[:1]] + listed[1:]
    shapes = tile.outlines(table, nowhere)
    assert [shape is None for shape in shapes] == (table.site_id == listed[0].site_id).tolist()


def test_tile_larger_than_the_scene_is_padded() -> None:
    class Site:
        site_id, shape = "s", (109, 586)

    made = tile.tile_at(Site, 0, 426, 160, "train")
    assert (made.height, made.width, made.pad_y, made.pad_x) == (109, 160, 51, 0)
    assert made.tile_id == "s_00000_00426"
    assert made.shape == (160, 160)
    assert made.window == np.s_[0:109, 426:586]


@pytest.mark.parametrize("edge", ["shift", "drop"])
def test_exact_fit_needs_no_edge_rule(edge: str) -> None:
    assert starts(320, Tiling(size=160, edge=edge)) == [0, 160]


def test_images_too_near_in_time_make_no_pair(tmp_path) -> None:
    from tests.conftest import RECIPE

    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("  policy: composite\n", "  policy: composite\n  min_months_apart: 12\n"))
    acquired = {"2018": ["2018-07-01", "2018-08-01"], "2019": ["2019-07-20"], "2020": ["2020-08-02"]}
    kept = tile.far_enough(
        [(0, 1), (0, 2), (1, 2)], {"site_id": "s", "acquired": acquired}, list(acquired), recipe.load(path)
    )
    assert kept == [(0, 2), (1, 2)]


@pytest.mark.parametrize(
    ("length", "expected"), [(186, [0]), (256, [0]), (257, [0, 100]), (300, [0, 100]), (380, [0, 100, 200])]
)
def test_padded_tiles_go_on_beyond_the_edge(length: int, expected: list[int]) -> None:
    """As many as the package tiler makes with mode "constant": ceil((length - overlap) / step), at least
    one."""
    rule = Tiling(size=256, stride=100, edge="pad")
    assert starts(length, rule) == expected
    assert len(expected) == max(1, -(-(length - 156) // 100))
