from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from minebench import tables
from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline.geo import geodesy
from pipeline.index import split
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
    shares = pd.crosstab(table.production, table.split, normalize="index")
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
    with pytest.raises(InputError, match="2 sites in 1 separate unit,"):
        split.assign(sites_at([(0, 0), (2, 0)]), Split())


def test_tiles_at_random_keep_the_fractions_and_are_the_same_every_time() -> None:
    names = [f"site{i // 9}_{i % 9:05d}" for i in range(900)]
    rule = Split(by="tile", train=0.6, val=0.2, test=0.2, seed=3)
    drawn = split.of_tiles(names, rule)
    counts = {name: list(drawn.values()).count(name) for name in split.NAMES}
    assert counts == {"train": 540, "val": 180, "test": 180}
    assert split.of_tiles(names[::-1], rule) == drawn
    assert split.of_tiles(names, Split(by="tile", seed=4)) != drawn


def listed(tmp_path: Path, text: str) -> tuple[BenchmarkPaths, Split]:
    benchmark = BenchmarkPaths("b", tmp_path)
    benchmark.mines.mkdir(parents=True)
    (benchmark.mines / "split.csv").write_text(text)
    return benchmark, Split(by="list", list="split.csv")


def test_a_list_by_site_or_by_name(tmp_path: Path) -> None:
    sites = sites_at([(0, 0), (1, 1)]).assign(name=["Alpha", "Beta"])
    benchmark, rule = listed(tmp_path, "name,split\nBeta,test\nAlpha,train\n")
    assert split.of_sites(benchmark, sites, rule).of == {"s0": "train", "s1": "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("site_id,split\ns0,train\n", "no line for site_id of site s1"),
        ("site_id,split\ns0,train\ns1,holdout\n", "line 3: 'holdout' is none of train, val, test"),
        ("site,split\ns0,train\n", "needs the columns site_id"),
    ],
)
def test_a_bad_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    benchmark, rule = listed(tmp_path, text)
    with pytest.raises(InputError, match=message):
        split.of_sites(benchmark, sites_at([(0, 0), (1, 1)]), rule)


@settings(deadline=None, max_examples=20)
@given(corners, st.integers(2, 6))
def test_folds_test_each_site_once_and_never_part_neighbours(
    places: list[tuple[int, int]], folds: int
) -> None:
    sites = sites_at(places, country=["ABC"[i % 3] * 3 for i in range(len(places))]).assign(epsg=32633)
    rule = Split(folds=folds, min_distance_m=500)
    table = split.folds(sites, rule)
    near = list(geodesy.near_pairs(list(sites.geometry), 500))
    for (scheme, fold), own in table.groupby(["scheme", "fold"]):
        of = dict(zip(own.site_id, own.split, strict=True))
        assert set(of) == set(sites.site_id)
        if scheme == "country":
            assert {s for s, name in of.items() if name == "test"} == set(
                sites.site_id[sites.country == fold]
            )
        for i, j in near:
            pair = {of[f"s{i}"], of[f"s{j}"]}
            assert len(pair - {"none"}) < 2
    kfold = table[table.scheme == "kfold"]
    if len(kfold):
        assert (kfold[kfold.split == "test"].site_id.value_counts() == 1).all()
        assert set(kfold[kfold.split == "test"].site_id) == set(sites.site_id)


def spread(count: int, **columns: object) -> gpd.GeoDataFrame:
    """So many sites that are far from one another."""
    return sites_at([(i % 25 * 20, i // 25 * 20) for i in range(count)], **columns)


@pytest.mark.parametrize("strata", [(), ("production",)])
def test_taking_sites_away_moves_hardly_any_other(strata: tuple[str, ...]) -> None:
    """Of 300 sites without 10, the greedy deal of before moved 167 of the others."""
    sites = spread(300, production=[("coal", "metal", "quarry", "sand")[i * 7 % 4] for i in range(300)])
    rule = Split(stratify=strata, seed=2)
    before = split.assign(sites, rule)
    for draw in range(5):
        fewer = sites.sample(290, random_state=draw).sort_index().reset_index(drop=True)
        after = split.assign(fewer, rule)
        assert sum(before[name] != part for name, part in after.items()) <= 10


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 40), st.integers(1, 8), st.integers(0, 9), st.sampled_from([(0.7, 0.1), (0.5, 0.25)]))
def test_fractions_hold_as_far_as_they_can(
    count: int, strata: int, seed: int, fractions: tuple[float, float]
) -> None:
    train, val = fractions
    rule = Split(train=train, val=val, test=round(1 - train - val, 9), stratify=("production",), seed=seed)
    sites = spread(count, production=[f"p{i * 5 % strata}" for i in range(count)])
    parts = list(split.assign(sites, rule).values())
    for name in split.NAMES:
        wanted = getattr(rule, name) * count
        assert parts.count(name) >= 1
        # What one split has too much of, the others lack: that is what is levelled.
        assert wanted - parts.count(name) <= max(1.0, wanted / 3 + 1)


def released(tmp_path: Path, rule: Split, of: dict[str, str]) -> BenchmarkPaths:
    """A benchmark whose published catalog has these splits."""
    benchmark = BenchmarkPaths("b", tmp_path)
    benchmark.stac.mkdir(parents=True)
    table = pd.DataFrame({"site_id": list(of), "split": list(of.values())})
    table.attrs = {split.RULE: split.rule_key(rule)}
    tables.write(table, benchmark.stac / "splits.parquet")
    return benchmark


def test_a_release_keeps_its_splits(tmp_path: Path) -> None:
    rule = Split(seed=3)
    sites = spread(40)
    held = {name: "test" for name in sites.site_id[:20]}
    found = split.of_sites(released(tmp_path, rule, held), sites, rule)
    assert {found.of[name] for name in held} == {"test"}
    assert (found.kept, found.moved) == (20, {})
    # What comes new goes where most is lacking.
    assert list(found.of.values())[20:].count("train") > 15


def test_another_rule_draws_anew_and_says_what_moved(tmp_path: Path) -> None:
    rule = Split(seed=3)
    sites = spread(40)
    benchmark = released(tmp_path, rule, {name: "test" for name in sites.site_id})
    found = split.of_sites(benchmark, sites, Split(seed=4))
    assert len(found.moved) > 20
    assert "s0 (test to " in str(found) or "s1 (test to " in str(found)
    kept = split.of_sites(benchmark, sites, Split(seed=4, keep=True))
    assert not kept.moved
    assert split.of_sites(benchmark, sites, Split(seed=3, keep=False)).moved


def test_a_new_site_near_two_splits_is_in_none(tmp_path: Path) -> None:
    """Were one of the two moved, the next release would train on what this one tests."""
    rule = Split(min_distance_m=3000, train=0.5, val=0.0, test=0.5)
    sites = sites_at([(0, 0), (14, 0), (7, 0), (60, 0), (90, 0)])
    benchmark = released(tmp_path, rule, {"s0": "train", "s1": "test", "s3": "train", "s4": "test"})
    found = split.of_sites(benchmark, sites, rule)
    assert found.of["s2"] == split.UNUSED
    assert found.unused == ("s2",)
    assert [found.of[name] for name in ("s0", "s1", "s3", "s4")] == ["train", "test", "train", "test"]
    assert "s2" in str(found)


def test_keeping_without_a_release_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.keep: there is no published release"):
        split.of_sites(BenchmarkPaths("b", tmp_path), spread(9), Split(keep=True))
