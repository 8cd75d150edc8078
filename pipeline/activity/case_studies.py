"""Activity around each site's own start of production (OMS2CD, Dibble 2023, 4.6 and 4.7).

A list says the year in which production began, and not the day: an interval that touches this year is of the
start, and those that end before it or begin after it are before and after. The window goes so many years
beyond that year on both sides, and has the intervals that lie in it whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import pandas as pd

from minebench.periods import Period
from minebench.text import AFTER, BEFORE, NO_IMAGES, START, UNKNOWN_START
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

COLUMNS = {
    "site_id": "str", "production_start": "Int64", "years": "int64", "source": "str", "phase": "str",
    "t1": "str", "t2": "str", "intervals": "int64", "months": "float64", "changed_m2": "float64",
    "ndtci": "float64",
}  # fmt: skip
"""A site whose start is unknown, or in whose window no interval lies, has one row without a source, and its
phase says so (`UNKNOWN_START`, `NO_IMAGES`). `t1` to `t2` are the first and last period of a phase; changed
areas are sums of its intervals, `ndtci` the mean of them within the AOI."""
Span = tuple[date, date]


def table(intervals: pd.DataFrame, sites: Iterable[Site], recipe: Recipe, years: int) -> pd.DataFrame:
    """Return the table `COLUMNS` of the sites, from the rows of `intervals`."""
    periods = {period.label: period for period in recipe.periods.periods()}
    by_site = {str(site_id): rows for site_id, rows in intervals.groupby("site_id", sort=False)}
    rows = [
        row
        for site in sites
        for row in _of_site(site, by_site.get(site.site_id, intervals[:0]), periods, recipe, years)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _of_site(
    site: Site, intervals: pd.DataFrame, periods: Mapping[str, Period], recipe: Recipe, years: int
) -> Iterator[tuple[Any, ...]]:
    start = site.production_start
    nothing = ("", "", 0, 0.0, float("nan"), float("nan"))
    if start is None:
        yield site.site_id, None, years, "", UNKNOWN_START, *nothing
        return
    spans = {label: site.span(periods[label], recipe) for label in {*intervals.t1, *intervals.t2}}
    phases = [
        phase_of(spans[t1], spans[t2], start, years)
        for t1, t2 in zip(intervals.t1, intervals.t2, strict=True)
    ]
    phased = intervals.assign(phase=pd.Series(phases, index=intervals.index, dtype=object))
    inside = phased.dropna(subset=["phase"])
    if inside.empty:
        yield site.site_id, start, years, "", NO_IMAGES, *nothing
    for (source, phase), rows in inside.groupby(["source", "phase"], sort=False):
        known = rows[rows.known > 0]
        yield (
            site.site_id, start, years, source, phase, rows.t1.iloc[0], rows.t2.iloc[-1], len(rows),
            rows.months.sum(), known.changed_m2.sum(min_count=1), known.ndtci.mean(),
        )  # fmt: skip


def phase_of(first: Span, second: Span, start: int, years: int) -> str | None:
    """Return the phase of an interval between two periods, given by their first day and the day after their
    last; None outside the window of `years` around the year `start`."""
    if first[0] < date(start - years, 1, 1) or second[1] > date(start + years + 1, 1, 1):
        return None
    if second[1] <= date(start, 1, 1):
        return BEFORE
    return AFTER if first[0] >= date(start + 1, 1, 1) else START
