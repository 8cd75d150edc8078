"""The sites that changed most in the newest interval, as one HTML page: a trained run as a monitor.

data/<b>/monitor/index.html
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import __version__, tables
from minebench.errors import NotMadeYet
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from pipeline.activity import change_maps
from pipeline.core import templates
from pipeline.recipe import Recipe
from pipeline.report import pictures
from pipeline.sites import site as sites
from pipeline.stac import assets

SHOWN = 30
"""Sites on the page; the rest is in index/activity/intervals.parquet."""


@dataclass(frozen=True)
class Row:
    """A site on the page: its words, and the images before and after with what changed outlined."""

    title: str
    country: str
    place: str
    t1: str
    t2: str
    changed_km2: float
    share: float
    before: str
    after: str


def write(benchmark: BenchmarkPaths, recipe: Recipe, run: str) -> Path:
    """Write the page of a run that `activity` has measured. NotMadeYet where it has not."""
    intervals = tables.read(benchmark.table("activity/intervals"), "activity")
    own = intervals[intervals.source == run]
    if own.empty:
        raise NotMadeYet(f"{run} was not applied to two dates of any site: there is no change to show.")
    newest = own.sort_values(["site_id", "t2"]).groupby("site_id").tail(1)
    order = newest.sort_values(["changed_m2", "site_id"], ascending=[False, True])
    thresholds = tables.read(benchmark.table("activity/thresholds"), "activity").set_index("source").threshold
    listed = {site.site_id: site for site in sites.load(benchmark, recipe)}
    look = pictures.Looks(benchmark, recipe)
    shown = [
        _row(look, listed[row.site_id], row, _changed(benchmark, run, row, thresholds[run]))
        for row in tables.each(order.head(SHOWN))
    ]
    page = templates.load("pipeline.inference", "biggest.html").render(
        recipe=recipe, run=run, rows=shown, sites=len(newest), version=__version__,
        changed=float(newest.changed_m2.sum() / 1e6), threshold=float(thresholds[run]),
        synthetic=recipe.source.is_synthetic,
    )  # fmt: skip
    path = benchmark.data / "monitor" / "index.html"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _changed(benchmark: BenchmarkPaths, run: str, row: pd.Series, threshold: float) -> NDArray[np.bool_]:
    folder = benchmark.predictions / run / row.site_id
    maps = change_maps.of_run(folder, run, [(row.t1, row.t2)], threshold)
    assert maps is not None
    return maps.changed[0]


def _row(look: pictures.Looks, site: sites.Site, row: pd.Series, changed: NDArray[np.bool_]) -> Row:
    periods = look.periods(site.site_id)
    before, after = (look.image(site.site_id, periods.index(period)) for period in (row.t1, row.t2))
    longitude, latitude = site.place
    return Row(
        title=site.label, country=site.country or "", place=f"{latitude:.4f}, {longitude:.4f}",
        t1=row.t1, t2=row.t2, changed_km2=row.changed_m2 / 1e6,
        share=row.changed_m2 / max(float(site.aoi().sum() * site.pixel_m2), 1.0), before=pictures.png(before),
        after=pictures.png(assets.outlined(after, changed.astype(np.uint8))),
    )  # fmt: skip
