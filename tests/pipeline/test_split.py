import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from models.errors import InputError
from pipeline import geodesy, split
from pipeline.recipe import Split


def sites_at(places: list[tuple[float, float]], **columns: list[object]) -> gpd.GeoDataFrame:
    """Square AOIs of 2 km in UTM 33, by corner in units of 500 m, given back in lon/lat."""
    corners = [(4e5 + x * 500, 5e6 + y * 500) for x, y in places]
    boxes = [geodesy.project(shapely.box(x, y, x + 2000, y + 2000), 32633, 4326) for x, y in corners]
    table = gpd.GeoDataFrame({"site_id": [f"s{i}" for i in range(len(boxes))]}, geometry=boxes, crs=4326)
    for column in ("country", "commodity", "production"):
        table[column] = columns.get(column)
    return table


corners = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=8, max_size=25, unique=True)


@settings(deadline=None, max_examples=20)
@given(corners, st.integers(0, 5), st.sampled_from([0.0, 900.0, 3000.0]))
def test_no_pixel_of_one_split_lies_in_another(places: list[tuple[int, int]], seed: int, gap: float) -> None:
    sites = sites_at(places)
    rule = Split(train=0.6, val=0.2, test=0.2, seed=seed, min_distance_m=gap)
    try:
        splits = split.assign(sites, rule)
    except InputError:
        return
    # Burn every AOI into one raster of the whole area, 100 m pixels: each has a single owner.
    layers = []
    for name in split.NAMES:
        own = sites[[splits[s] == name for s in sites.site_id]].to_crs(32633)
        shapes = list(own.geometry) or [shapely.Point(0, 0)]
        transform = (100.0, 0.0, 4e5, 0.0, -100.0, 5e6 + 40_000)
        layers.append(rasterize(shapes, out_shape=(400, 400), transform=transform))
    assert np.sum(layers, axis=0).max() <= 1
    utm = sites.to_crs(32633).geometry.to_numpy()
    for i in range(len(sites)):
        for j in range(i):
            if splits[f"s{i}"] != splits[f"s{j}"]:
                assert utm[i].distance(utm[j]) >= gap * 0.999


def test_fractions_and_strata() -> None:
    places = [(i % 10 * 20, i // 10 * 20) for i in range(100)]
    kinds = ["coal" if i % 4 else "quarry" for i in range(100)]
    sites = sites_at(places, production=kinds)
    splits = split.assign(sites, Split(train=0.7, val=0.1, test=0.2, stratify=("production",)))
    table = sites.assign(split=sites.site_id.map(splits))
    shares = table.groupby("production").split.value_counts(normalize=True).unstack()
    assert shares.train.tolist() == pytest.approx([0.7, 0.7], abs=0.05)
    assert shares.test.tolist() == pytest.approx([0.2, 0.2], abs=0.05)
    assert (table.split == "val").sum() == pytest.approx(10, abs=2)


def test_deterministic_and_free_of_order() -> None:
    sites = sites_at([(i * 20, 0) for i in range(30)])
    rule = Split(seed=4)
    first = split.assign(sites, rule)
    assert split.assign(sites.sample(frac=1, random_state=1).reset_index(drop=True), rule) == first
    assert split.assign(sites, Split(seed=5)) != first


def test_every_wanted_split_gets_a_site() -> None:
    splits = split.assign(sites_at([(0, 0), (40, 0), (80, 0)]), Split(train=0.8, val=0.1, test=0.1))
    assert sorted(splits.values()) == ["test", "train", "val"]


def test_too_few_sites_is_said() -> None:
    with pytest.raises(InputError, match="2 sites make 1 separate units"):
        split.assign(sites_at([(0, 0), (2, 0)]), Split())
