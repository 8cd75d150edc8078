"""What a benchmark holds, counted once a pixel from the cubes (tiles may overlap; cubes do not)."""

from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import zarr

from pipeline import cube, periods
from pipeline.layout import Benchmark
from pipeline.tile import pair_counts


@dataclass(frozen=True)
class Statistics:
    """Tables for the report; areas in km², shares of the known area in 0..1."""

    by_period: pd.DataFrame
    by_interval: pd.DataFrame


def compute(benchmark: Benchmark, sites: gpd.GeoDataFrame, resolution: float) -> Statistics:
    """One pass over the cubes, one site in memory at a time.

    by_period: sites, footprint_km2, share, and what was expanded_km2 and reduced_km2 since the
    site's period before. by_interval: pairs of periods, expanded_km2, reduced_km2, share changed.
    """
    pixel_km2 = resolution**2 / 1e6
    period_rows, pair_rows = [], []
    for label, mine, known, expanded, reduced, both, labels in _by_site(benchmark, sites):
        for i, period in enumerate(labels):
            since = (expanded[i - 1, i], reduced[i - 1, i]) if i else (0, 0)
            period_rows.append((period, label, int(mine[i]), int(known[i]), *since))
        for i in range(len(labels)):
            for j in range(i + 1, len(labels)):
                interval = periods.interval(labels[i], labels[j])
                pair_rows.append((interval, expanded[i, j], reduced[i, j], both[i, j]))
    by_period = pd.DataFrame(period_rows, columns=["period", "site", "mine", "known", "expanded", "reduced"])
    by_interval = pd.DataFrame(pair_rows, columns=["interval", "expanded", "reduced", "known"])
    return Statistics(_periods(by_period, pixel_km2), _intervals(by_interval, pixel_km2))


def _by_site(benchmark: Benchmark, sites: gpd.GeoDataFrame) -> Iterator[tuple]:
    for site_id in sites.site_id:
        path = benchmark.cube(site_id)
        labels = cube.periods_of(path)
        if not labels:
            continue
        group = zarr.open_group(path, mode="r")
        mine = np.asarray(group["mine"][:]).reshape(len(labels), -1)
        seen = np.asarray(group["clear"][:]).reshape(len(labels), -1) > 0
        known = (mine != 255) & seen
        expanded, reduced, unknown = pair_counts(mine, known)
        mines, knowns = ((mine == 1) & known).sum(axis=1), known.sum(axis=1)
        yield site_id, mines, knowns, expanded, reduced, mine.shape[1] - unknown, labels


def _periods(rows: pd.DataFrame, pixel_km2: float) -> pd.DataFrame:
    known = rows[rows.known > 0].groupby("period")
    table = known.agg(sites=("site", "nunique"), mine=("mine", "sum"), known=("known", "sum"),
                      expanded=("expanded", "sum"), reduced=("reduced", "sum")).reset_index()  # fmt: skip
    return pd.DataFrame(
        {
            "period": table.period,
            "sites": table.sites,
            "footprint_km2": table.mine * pixel_km2,
            "share": table.mine / table.known,
            "expanded_km2": table.expanded * pixel_km2,
            "reduced_km2": table.reduced * pixel_km2,
        }
    )


def _intervals(rows: pd.DataFrame, pixel_km2: float) -> pd.DataFrame:
    known = rows[rows.known > 0].groupby("interval")
    table = known.agg(pairs=("known", "size"), expanded=("expanded", "sum"),
                      reduced=("reduced", "sum"), known=("known", "sum")).reset_index()  # fmt: skip
    return pd.DataFrame(
        {
            "interval": table.interval,
            "pairs": table.pairs,
            "expanded_km2": table.expanded * pixel_km2,
            "reduced_km2": table.reduced * pixel_km2,
            "share": (table.expanded + table.reduced) / table.known,
        }
    )
