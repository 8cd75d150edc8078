import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import recipe
from pipeline.geo import geodesy
from pipeline.index import leakage
from pipeline.sites import site
from tests.conftest import RECIPE
from tests.pipeline.index.test_split import sites_at


def tiny(tmp_path_factory) -> recipe.Recipe:
    path = tmp_path_factory / "recipe.yaml"
    path.write_text(RECIPE)
    return recipe.load(path)


LISTED = {"name": None, "country": None, "production": None, "area_km2": 1.0, "mines": 1, "footprint": None}


def placed(places: list[tuple[int, int]]) -> pd.DataFrame:
    """Sites of 200 x 200 pixels of 10 m at corners in units of 500 m, UTM 33."""
    sites = sites_at([(x, y) for x, y in places])
    return sites.assign(
        epsg=32633, left=[4e5 + x * 500 for x, _ in places], top=[5e6 + y * 500 + 2000 for _, y in places],
        height=200, width=200, **LISTED,
    )  # fmt: skip


def tiles_of(sites: pd.DataFrame, splits: list[list[str]]) -> pd.DataFrame:
    """Three by three tiles of 64 pixels a site."""
    rows = [
        (site.site_id, split, 64 * (k // 3), 64 * (k % 3), 64, 64)
        for site, own in zip(sites.itertuples(), splits, strict=True)
        for k, split in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=["site_id", "split", "y0", "x0", "height", "width"])


def brute(sites: pd.DataFrame, tiles: pd.DataFrame) -> tuple[int, int]:
    """Test pixels, and those within 64 pixels of a training pixel along rows and columns, on one raster."""
    tested, near = np.zeros((2, 2000, 2000), bool)
    for tile in tiles.itertuples():
        site = sites[sites.site_id == tile.site_id].iloc[0]
        y, x = round((5.015e6 - site.top) / 10) + tile.y0, round((site.left - 4e5) / 10) + tile.x0 + 100
        if tile.split == "test":
            tested[y : y + 64, x : x + 64] = True
        elif tile.split == "train":
            near[y - 64 : y + 128, x - 64 : x + 128] = True
    return int(tested.sum()), int((near & tested).sum())


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 5, 10, 20]), st.sampled_from([0, 5, 20])),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    st.randoms(use_true_random=False),
)
def test_share_is_what_a_raster_counts(tmp_path_factory, places, random) -> None:
    sites = placed(places)
    splits = [random.choices(["train", "val", "test"], k=9) for _ in places]
    tiles = tiles_of(sites, splits)
    loaded = tiny(tmp_path_factory.mktemp("r"))
    measured = leakage.measure(site.listed(sites, loaded), tiles, loaded).set_index("split")
    whole, near = brute(sites, tiles)
    assert measured.pixels["test"] == whole
    assert measured.near["test"] == near
    if whole:
        assert measured.share["test"] == pytest.approx(near / whole)


def test_a_neighbour_in_the_next_zone_counts(tmp_path) -> None:
    """Two sites side by side across 18 degrees east: UTM 33 and 34."""
    west = geodesy.project(shapely.Point(17.999, 45.0), 4326, 32633)
    east = geodesy.project(shapely.Point(18.001, 45.0), 4326, 32634)
    rows = [(32633, west.x - 2000, west.y + 1000), (32634, east.x, east.y + 1000)]
    boxes = [
        geodesy.project(shapely.box(left, top - 2000, left + 2000, top), epsg, 4326)
        for epsg, left, top in rows
    ]
    sites = sites_at([(0, 0), (1, 1)]).set_geometry(boxes, crs=4326)
    sites = sites.assign(epsg=[r[0] for r in rows], left=[r[1] for r in rows], top=[r[2] for r in rows],
                         height=200, width=200, **LISTED)  # fmt: skip
    tiles = tiles_of(sites, [["train"] * 9, ["test"] * 9])
    loaded = tiny(tmp_path)
    share = leakage.measure(site.listed(sites, loaded), tiles, loaded).set_index("split").share["test"]
    assert 0.1 < share < 0.5
