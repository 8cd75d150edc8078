"""The statistics tables, against plain counting."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minebench import layout
from pipeline.index import statistics


def cubes(built: Path) -> dict[str, tuple[list[str], np.ndarray, np.ndarray]]:
    """Periods, masks and known pixels of each site."""
    found = {}
    for path in sorted((built / "data/tiny/cubes").iterdir()):
        group = zarr.open_group(path, mode="r")
        mine = group["mine"][:]
        found[path.stem] = (list(group.attrs["periods"]), mine, (mine != 255) & (group["clear"][:] > 0))
    return found


def test_every_pair_of_every_site(built: Path) -> None:
    table = statistics.read(layout.BenchmarkPaths("tiny", built))["site_pairs"].set_index(
        ["site_id", "t1", "t2"]
    )
    count = 0
    for site_id, (labels, mine, known) in cubes(built).items():
        for i, j in combinations(range(len(labels)), 2):
            both = known[i] & known[j]
            row = table.loc[site_id, labels[i], labels[j]]
            assert row.expanded_km2 == pytest.approx((both & (mine[i] == 0) & (mine[j] == 1)).sum() * 1e-4)
            assert row.reduced_km2 == pytest.approx((both & (mine[i] == 1) & (mine[j] == 0)).sum() * 1e-4)
            assert row.known_km2 == pytest.approx(both.sum() * 1e-4)
            assert row.changed_km2 == pytest.approx(row.expanded_km2 + row.reduced_km2)
            count += 1
    assert count == len(table)


def test_periods_intervals_and_countries_add_up(built: Path) -> None:
    found = statistics.read(layout.BenchmarkPaths("tiny", built))
    sites = cubes(built)
    for row in found["by_period"].itertuples():
        have = [
            (m[p.index(row.period)], k[p.index(row.period)]) for p, m, k in sites.values() if row.period in p
        ]
        footprint, known = sum(((m == 1) & k).sum() for m, k in have), sum(k.sum() for _, k in have)
        assert row.footprint_km2 == pytest.approx(footprint * 1e-4)
        assert row.share == pytest.approx(footprint / known)
        assert row.total_km2 == pytest.approx(row.expanded_km2 + row.reduced_km2, nan_ok=True)
    assert found["by_period"].total_km2.isna().tolist() == [True, False, False]
    pairs = found["site_pairs"]
    for row in found["by_interval"].itertuples():
        own = pairs[(pairs.interval == row.interval) & (pairs.known_km2 > 0)]
        starts = own.groupby(["t1", "t2"]).changed_km2.sum()
        assert row.scenes == len(starts)
        assert row.accumulated_km2 == pytest.approx(starts.mean())
        assert row.share == pytest.approx(own.changed_km2.sum() / own.known_km2.sum())
    each = found["by_country_period"]
    assert each.groupby("period").footprint_km2.sum().tolist() == pytest.approx(
        found["by_period"].footprint_km2.tolist()
    )
    assert (each.sites == 1).all()
    countries = found["by_country"]
    assert countries.sites.sum() == len(found["sites"]) == len(sites)
    assert countries.footprint_last_km2.sum() == pytest.approx(found["sites"].footprint_last_km2.sum())
    assert dict(zip(countries.country, countries.production, strict=True)) == {
        "DEU": "coal", "GRC": "quarry", "CHL": "metal",
    }  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(arrays(np.float64, (3, 10), elements=st.floats(0, 5)))
def test_intervals_are_means_over_their_starts(areas: np.ndarray) -> None:
    """EuroMineNet's table 3: nine pairs one year apart to one of nine years; footprints that only grow change
    more the further apart two dates lie, and one year changes the mean of the yearly totals."""
    grown = areas.cumsum(axis=1)
    rows = [
        (f"s{site}", str(2015 + i), str(2015 + j), j - i, 100.0, b, 0.0, b)
        for site, own in enumerate(grown)
        for i, j in combinations(range(10), 2)
        for b in [own[j] - own[i]]
    ]
    table = statistics.by_interval(pd.DataFrame(rows, columns=statistics.SITE_PAIR))
    assert table.scenes.tolist() == list(range(9, 0, -1))
    yearly = areas.sum(axis=0)[1:]
    assert table.accumulated_km2.iloc[0] == pytest.approx(yearly.mean())
    assert table.accumulated_km2.iloc[-1] == pytest.approx(yearly.sum())
    assert (table.accumulated_km2.diff().dropna() > -1e-9).all()
    assert table.known_km2.tolist() == [300.0] * 9
    assert table.share.to_numpy() == pytest.approx(table.accumulated_km2.to_numpy() / 300)


def test_spectra_count_every_known_pixel_twice(built: Path) -> None:
    spectra = statistics.read(layout.BenchmarkPaths("tiny", built))["spectra"]
    known = changed = 0
    for labels, mine, seen in cubes(built).values():
        if len(labels) > 1:
            both = seen[0] & seen[-1]
            known, changed = known + both.sum(), changed + (both & (mine[0] != mine[-1])).sum()
    assert spectra.band.nunique() == 5
    for _, band in spectra.groupby("band"):
        assert band.before.sum() == band.after.sum() == known
        assert band[band.area == "changed"].after.sum() == changed
    assert (spectra.high - spectra.low == 160).all()


def test_acquisitions_and_balance(built: Path) -> None:
    found = statistics.read(layout.BenchmarkPaths("tiny", built))
    scenes = pd.read_parquet(built / "data/tiny/index/scenes.parquet")
    days = scenes[scenes.selected].groupby(["site_id", "period"]).day.agg(["min", "max"])
    assert len(found["acquisitions"]) == 9  # three sites of three dates
    for row in found["acquisitions"].itertuples():
        assert (row.first_day, row.last_day) == tuple(days.loc[row.site_id, row.period])
    pairs = pd.read_parquet(built / "data/tiny/index/pairs.parquet")
    balance = found["balance"].set_index("split")
    assert set(pairs.split) == {"train", "val", "test"}
    for split, own in pairs.groupby("split"):
        assert balance.changed[split] == own.changed.sum()
        assert balance.unknown[split] == own.unknown.sum()
        assert balance[["changed", "unchanged", "unknown"]].loc[split].sum() == 64 * 64 * len(own)
