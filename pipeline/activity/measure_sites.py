"""Stage `activity`: how much, where and when each site changed, by source of change (OMS2CD, Dibble 2023).

    index/activity/intervals.parquet    site, source, interval: areas, NDTCI (`measures.INTERVALS`)
    index/activity/agreement.parquet    how two sources agree (`measures.AGREEMENT`)
    index/activity/cases.parquet        activity around each site's start of production (`case_studies`)
    index/activity/thresholds.parquet   from which probability on a run's change counts, and why
    index/activity/curves.parquet       the runs' precision and recall on validation
    index/activity/at_thresholds.parquet, by_threshold.parquet
                                        the same areas from 0.1, 0.2, ... on, and how they agree with the
                                        labels (`by_threshold`)
    activity/<site_id>/<source>/        maps (`map_files`), and item.json of the catalog

Sources are the labels, every run that `minebench predict` applied to whole sites, and the median of several.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from minebench import receipts, tables
from minebench.cube import store
from minebench.cube.labels import Labels
from minebench.errors import NotMadeYet
from minebench.files import replacing, write_compact_json
from minebench.layout import BenchmarkPaths
from pipeline.activity import by_threshold, case_studies, change_maps, map_files, measures, thresholds
from pipeline.core.runner import Spread, Step, Tasks, each_step, prune
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import activity_items, paging, times

VERSION = 2
"""Of tables and maps: raise it when they come out otherwise."""
ROWS, AT = "rows", "by_threshold"
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Task:
    """One site's work."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    thresholds: Mapping[str, float]
    by_length: bool

    @property
    def folder(self) -> Path:
        return self.benchmark.activity / self.site.site_id

    @property
    def cube(self) -> Path:
        return self.benchmark.cube(self.site.site_id)


def build(
    benchmark: BenchmarkPaths,
    recipe: Recipe,
    spread: Spread,
    by_length: bool = False,
    threshold: float | None = None,
    years: int = 2,
) -> int:
    """Write tables, maps and items; `by_length` weighs mean NDTCI by the intervals' lengths, `threshold`
    holds for all runs in place of their own, case studies go `years` around the start of production. Returns
    how many sites were done."""
    table = sites.read(benchmark)
    store.require_all(benchmark, table.site_id)
    present = [s for s in sites.listed(table, recipe) if len(store.periods_of(benchmark.cube(s.site_id))) > 1]
    if not present:
        raise NotMadeYet("No site has images of two dates: there is no change to measure.")
    chosen, curves = thresholds.choose(benchmark, threshold)
    by_run = dict(zip(chosen.source, chosen.threshold, strict=True))
    prune(benchmark.activity, {*(site.site_id for site in present), paging.FOLDER})
    tasks = Tasks(present, lambda site: Task(benchmark, recipe, site, by_run, by_length))
    done, path, at_path = 0, benchmark.table("activity/intervals"), benchmark.table("activity/at_thresholds")
    with (
        tables.writing(path, measures.INTERVALS, {"by_length": by_length}) as rows,
        tables.writing(at_path, by_threshold.AT, {}) as at_rows,
    ):
        for (own, at), made in each_step(STEP, tasks, spread):
            rows.add(own)
            at_rows.add(at)
            done += made
    intervals = tables.read(path, "activity")
    agreed = pd.DataFrame(measures.agreement(intervals), columns=list(measures.AGREEMENT))
    tables.write(agreed.astype(measures.AGREEMENT), benchmark.table("activity/agreement"))
    cases = case_studies.table(intervals, present, recipe, years)
    tables.write(cases, benchmark.table("activity/cases"))
    tables.write(chosen, benchmark.table("activity/thresholds"))
    tables.write(curves, benchmark.table("activity/curves"))
    by = by_threshold.agreement(at_path, [*chosen.source, change_maps.MEDIAN])
    tables.write(by, benchmark.table("activity/by_threshold"))
    activity_items.write_collection(benchmark, recipe, recipe.source.licence())
    return done


def _key(task: Task) -> str:
    """The site's images and masks, what was predicted on it, and the rules."""
    folder, site_id = task.benchmark.predictions, task.site.site_id
    predicted = [
        [run, threshold, receipts.key_in(folder / run / site_id / receipts.RECEIPT)]
        for run, threshold in task.thresholds.items()
    ]
    keys = [receipts.key_in(store.receipt(path)) for path in (task.cube, task.cube / "mine")]
    return receipts.fingerprint([VERSION, keys, predicted, task.by_length, task.site.geometry.wkt])


def _receipt(task: Task) -> Path:
    return task.folder / receipts.RECEIPT


def _kept(task: Task) -> tuple[Rows, Rows]:
    receipt = receipts.read(_receipt(task))
    return _with_nan(receipt[ROWS]), _with_nan(receipt[AT])


def _with_nan(rows: list[list[Any]]) -> Rows:
    """Rows as they were before JSON, which has no NaN."""
    return [tuple(float("nan") if value is None else value for value in row) for row in rows]


def _make(task: Task, key: str) -> tuple[Rows, Rows]:
    site, labels, aoi = task.site, Labels.read(task.cube), task.site.aoi()
    periods = {period.label: period for period in task.recipe.periods.periods()}
    starts = {label: period.start for label, period in periods.items()}
    rows: Rows = []
    with replacing(task.folder) as temporary:
        temporary.mkdir()
        sources = list(change_maps.of_site(task.benchmark, site.site_id, labels, task.thresholds))
        for maps in sources:
            months = measures.lengths(starts, maps.pairs)
            measured = measures.measure(site.site_id, maps, aoi, site.pixel_m2, months, task.by_length)
            map_files.write(temporary / maps.source, measured, maps.pairs, site.grid, aoi)
            rows += measured.rows
        at = list(by_threshold.of_site(site.site_id, sources, aoi, site.pixel_m2))
        first, last = (
            times.interval(site, periods[label], task.recipe)[end]
            for end, label in enumerate((labels.periods[0], labels.periods[-1]))
        )
        names = [maps.source for maps in sources]
        activity_items.write_item(task.benchmark, site, temporary, names, map_files.TITLES, first, last)
        write_compact_json({receipts.KEY: key, ROWS: rows, AT: at}, temporary / receipts.RECEIPT)
    return rows, at


STEP = Step("activity", _key, _receipt, _make, _kept)
