import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline.index.pairs import wanted

from pipeline import recipe
from pipeline.index import tile
from pipeline.recipe import Tiling
from tests.conftest import ROOT


def count(height: int, width: int, **tiling: object) -> int:
    rule = Tiling(**tiling)
    return len(tile.starts(height, rule)) * len(tile.starts(width, rule))


def test_the_smallest_scene_of_eurominenet_makes_four_tiles() -> None:
    assert count(109, 586, size=160) == 4
    rule = Tiling(size=160)
    assert tile.starts(109, rule) == [0]
    assert tile.starts(586, rule) == [0, 160, 320, 426]


def test_counts_of_eurominenets_table() -> None:
    """The paper gives one scene's size (the smallest, above) and the sums; sizes of the other 132 scenes
    are not published, so that the sums cannot be made from them. What follows from the sums is checked:
    ten images and 45 pairs a tile, in every split."""
    tiles = {"train": 3549, "val": 573, "test": 1011}
    labels = [str(year) for year in range(2015, 2025)]
    pairs = len(wanted(labels, recipe.load(ROOT / "catalogs/euromine/recipe.yaml")))
    assert sum(tiles.values()) == 5133
    assert [count * len(labels) for count in tiles.values()] == [35_490, 5_730, 10_110]
    assert [count * pairs for count in tiles.values()] == [159_705, 25_785, 45_495]
    # 11,324.5 km² are 4,424 tiles' worth of pixels: tiles that end at the edge make them more, not fewer.
    assert 11_324.5e6 / (160 * 10) ** 2 < 5133


def test_counts_of_oms2cds_table() -> None:
    """2,130 + 463 + 342 tiles are of 70 pairs whose scenes' sizes are not published: the sums cannot be
    made from them. What one scene gives follows from size and stride, whole tiles only."""
    rule = recipe.load(ROOT / "catalogs/oms2/recipe.yaml").tiling
    assert (rule.size, rule.stride, rule.edge) == (256, 100, "drop")
    for side in (255, 256, 355, 356, 900):
        assert len(tile.starts(side, rule)) == (0 if side < 256 else (side - 256) // 100 + 1)
    assert 2130 + 463 + 342 == 2935
    # Were all scenes alike, a pair would have 42 tiles: about 6 x 7, scenes of some 8 km.
    assert len(tile.starts(256 + 500, rule)) * len(tile.starts(256 + 600, rule)) == 42


def test_stride_of_oms2cd() -> None:
    assert tile.starts(500, Tiling(size=256, stride=100)) == [0, 100, 200, 244]
    assert tile.starts(456, Tiling(size=256, stride=100)) == [0, 100, 200]


def test_drop_and_no_padding() -> None:
    assert tile.starts(500, Tiling(size=160, edge="drop")) == [0, 160, 320]
    assert tile.starts(100, Tiling(size=160, pad=False)) == []


@given(st.integers(1, 2000), st.integers(8, 300), st.none() | st.integers(1, 300))
def test_shifted_tiles_cover_everything_and_stay_inside(length: int, size: int, stride: int | None) -> None:
    stride = min(stride or size, size)
    starts = tile.starts(length, Tiling(size=size, stride=stride))
    covered = np.zeros(length, bool)
    for start in starts:
        covered[start : start + size] = True
        assert start + size <= max(length, size)
    assert covered.all()
    assert starts == sorted(set(starts))


def test_ten_periods_make_45_pairs(tmp_path) -> None:
    from tests.conftest import RECIPE

    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    base = recipe.load(path)
    labels = [str(year) for year in range(2015, 2025)]

    def pairs(rule: object) -> list[tuple[int, int]]:
        return wanted(labels, base.model_copy(update={"pairs": rule}))

    assert len(pairs("all")) == 45
    assert pairs("consecutive") == [(i, i + 1) for i in range(9)]
    assert pairs("first_last") == [(0, 9)]
    assert pairs((("2018", "2016"), ("2015", "2030"))) == [(1, 3)]


def test_tables_of_the_tiny_project(built) -> None:
    index = built / "data/tiny/index"
    tiles = pd.read_parquet(index / "tiles.parquet")
    pairs = pd.read_parquet(index / "pairs.parquet")
    periods = pd.read_parquet(index / "tile_periods.parquet")
    assert list(tiles) == tile.TILE
    assert list(pairs) == tile.PAIR
    assert list(periods) == tile.TILE_PERIOD
    assert tiles.tile_id.is_unique
    assert (pairs.changed == pairs.expanded + pairs.reduced).all()
    assert (pairs.t1 < pairs.t2).all()
    assert pairs.changed.sum() > 0
    assert set(tiles.split) == {"train", "val", "test"}
    assert pairs.groupby("tile_id").split.nunique().max() == 1


def test_tile_larger_than_the_scene_is_padded() -> None:
    class Site:
        site_id, height, width = "s", 109, 586

    made = tile._tile(Site, 0, 426, 160, "train")
    assert (made["height"], made["width"], made["pad_y"], made["pad_x"]) == (109, 160, 51, 0)
    assert made["tile_id"] == "s_00000_00426"


@pytest.mark.parametrize("edge", ["shift", "drop"])
def test_exact_fit_needs_no_edge_rule(edge: str) -> None:
    assert tile.starts(320, Tiling(size=160, edge=edge)) == [0, 160]


def test_images_too_near_in_time_make_no_pair(tmp_path) -> None:
    from tests.conftest import RECIPE

    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("  policy: composite\n", "  policy: composite\n  min_months_apart: 12\n"))
    acquired = {"2018": ["2018-07-01", "2018-08-01"], "2019": ["2019-07-20"], "2020": ["2020-08-02"]}
    kept = tile.far_enough(
        [(0, 1), (0, 2), (1, 2)], {"site_id": "s", "acquired": acquired}, list(acquired), recipe.load(path)
    )
    assert kept == [(0, 2), (1, 2)]
