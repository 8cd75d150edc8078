"""The report's page of activity, from the tables and maps of stage `activity`."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.core import tables
from pipeline.core.layout import Benchmark
from pipeline.core.words import EVERY_SITE
from pipeline.report.pictures import picture_of

MAPS = 8
"""Sites whose when-map is shown."""


@dataclass(frozen=True)
class Source:
    """One source of change over all sites: changed and cumulative km², mean NDTCI, and how it agrees with the
    labels: the sites' mean correlation of changed areas and of NDTCI, and their mean error, m²."""

    name: str
    changed_km2: float
    cumulative_km2: float
    ndtci: float
    pearson_area: float
    pearson_ndtci: float
    rmse_m2: float


@dataclass(frozen=True)
class Activity:
    """What the page shows. `intervals` is the table that charts are drawn from."""

    intervals: pd.DataFrame
    sources: list[Source]
    thresholds: list[dict[str, object]]
    maps: list[tuple[str, str]]
    dates: list[str]


def read(benchmark: Benchmark, names: dict[str, str]) -> Activity | None:
    """None where nothing was measured, or there was nothing to measure by."""
    path = benchmark.table("activity/intervals")
    if not path.is_file():
        return None
    intervals = tables.read(path, "activity")
    if intervals.empty:
        return None
    agreement = tables.read(benchmark.table("activity/agreement"), "activity")
    thresholds = tables.read(benchmark.table("activity/thresholds"), "activity")
    dates = sorted(set(intervals.t2))
    maps = _maps(benchmark, intervals, names)
    return Activity(intervals, _sources(intervals, agreement), tables.records(thresholds), maps, dates)


def _sources(intervals: pd.DataFrame, agreement: pd.DataFrame) -> list[Source]:
    sites = agreement[(agreement["first"] == "labels") & (agreement.site_id != EVERY_SITE)]
    with_labels = sites.groupby("second")
    columns = ["pearson_area", "pearson_ndtci", "rmse_m2"]
    agreed = with_labels[columns].mean().to_dict("index") if len(agreement) else {}
    found = []
    for name, own in intervals.groupby("source", sort=False):
        last = own.groupby("site_id").cumulative_m2.last()
        agrees = agreed.get(name, dict.fromkeys(columns, np.nan))
        found.append(Source(
            str(name), own.changed_m2.sum() / 1e6, last.sum() / 1e6, float(own.ndtci.mean()),
            *(float(agrees[column]) for column in columns),
        ))  # fmt: skip
    return found


def _maps(benchmark: Benchmark, intervals: pd.DataFrame, names: dict[str, str]) -> list[tuple[str, str]]:
    """When each pixel first changed, of the sites with most change: by the labels, else the first source."""
    source = "labels" if "labels" in set(intervals.source) else str(intervals.source.iloc[0])
    own = intervals[intervals.source == source]
    most = own.groupby("site_id").changed_m2.sum().sort_values(ascending=False, kind="stable")
    found = []
    for site_id in map(str, most.index[:MAPS]):
        file = benchmark.activity / site_id / source / "when.png"
        if file.is_file():
            found.append((names.get(site_id, site_id), picture_of(Image.open(file))))
    return found
