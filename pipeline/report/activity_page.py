"""The report's page of activity, from the tables and maps of stage `activity`."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from PIL import Image

from minebench import tables
from minebench.layout import BenchmarkPaths
from minebench.text import EVERY_SITE, NO_IMAGES, UNKNOWN_START
from pipeline.report.pictures import picture_of

TRUTH = "labels"
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
class Agreement:
    """How a source agrees with the labels over all intervals of all sites: correlations with p, and root mean
    square errors. What is not defined is NaN."""

    name: str
    intervals: int
    pearson_area: float
    p_area: float
    rmse_m2: float
    pearson_ndtci: float
    p_ndtci: float
    rmse_ndtci: float
    rmse_ndtci_everywhere: float


@dataclass(frozen=True)
class Case:
    """A source's changes around a site's start of production: km² and how many intervals, by phase, and mean
    NDTCI."""

    site_id: str
    name: str
    start: int
    source: str
    km2: dict[str, float]
    intervals: dict[str, int]
    ndtci: dict[str, float]


@dataclass(frozen=True)
class Cases:
    """Case studies of the sites whose start of production is known and lies among their images; the names of
    those of which it is unknown, and of those that have no images around it."""

    years: int
    rows: list[Case]
    unknown: list[str]
    no_images: list[str]


@dataclass(frozen=True)
class Activity:
    """What the page shows. `intervals` is the table that charts are drawn from, `by_threshold` that of stage
    `activity`."""

    intervals: pd.DataFrame
    sources: list[Source]
    agreement: list[Agreement]
    thresholds: list[dict[str, object]]
    by_threshold: list[dict[str, object]]
    maps: list[tuple[str, str]]
    dates: list[str]
    cases: Cases | None


def read(benchmark: BenchmarkPaths, names: dict[str, str]) -> Activity | None:
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
    return Activity(
        intervals, _sources(intervals, agreement), _agreement(agreement), tables.records(thresholds),
        _by_threshold(benchmark), maps, dates, _cases(benchmark, names),
    )  # fmt: skip


def _agreement(table: pd.DataFrame) -> list[Agreement]:
    """Of all sites together, or of the only one."""
    with_labels = table[table["first"] == TRUTH]
    sites = EVERY_SITE if EVERY_SITE in set(with_labels.site_id) else with_labels.site_id.min()
    columns = [field.name for field in fields(Agreement)[1:]]
    # Tables from before there was a column lack it: that is not known.
    own = with_labels[with_labels.site_id == sites].reindex(columns=["second", *columns])
    return [Agreement(*row) for row in own.itertuples(index=False)]


def _cases(benchmark: BenchmarkPaths, names: dict[str, str]) -> Cases | None:
    """None where activity was measured before there were case studies."""
    path = benchmark.table("activity/cases")
    if not path.is_file():
        return None
    table = tables.read(path, "activity")
    table = table.assign(km2=table.changed_m2 / 1e6)
    whose = {
        phase: [names.get(site_id, site_id) for site_id in table.site_id[table.phase == phase]]
        for phase in (UNKNOWN_START, NO_IMAGES)
    }
    rows = []
    for (site_id, source), own in table[table.source != ""].groupby(["site_id", "source"], sort=False):
        phases = own.phase.tolist()
        measures = (dict(zip(phases, own[name], strict=True)) for name in ("km2", "intervals", "ndtci"))
        name = names.get(str(site_id), str(site_id))
        rows.append(Case(str(site_id), name, int(own.production_start.iloc[0]), str(source), *measures))
    return Cases(int(table.years.max()) if len(table) else 0, rows, whose[UNKNOWN_START], whose[NO_IMAGES])


def _by_threshold(benchmark: BenchmarkPaths) -> list[dict[str, object]]:
    """Agreement with the labels by source and threshold; none where activity was measured before there was
    this table."""
    path = benchmark.table("activity/by_threshold")
    return tables.records(tables.read(path, "activity")) if path.is_file() else []


def _sources(intervals: pd.DataFrame, agreement: pd.DataFrame) -> list[Source]:
    sites = agreement[(agreement["first"] == TRUTH) & (agreement.site_id != EVERY_SITE)]
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


def _maps(benchmark: BenchmarkPaths, intervals: pd.DataFrame, names: dict[str, str]) -> list[tuple[str, str]]:
    """When each pixel first changed, of the sites with most change: by the labels, else the first source."""
    source = TRUTH if TRUTH in set(intervals.source) else str(intervals.source.iloc[0])
    own = intervals[intervals.source == source]
    most = own.groupby("site_id").changed_m2.sum().sort_values(ascending=False, kind="stable")
    found = []
    for site_id in map(str, most.index[:MAPS]):
        file = benchmark.activity / site_id / source / "when.png"
        if file.is_file():
            found.append((names.get(site_id, site_id), picture_of(Image.open(file))))
    return found
