"""Scores of an evaluation's counts: pooled, by site, by date."""

from typing import Any

import numpy as np
import pandas as pd

from minebench import periods
from minebench.metrics.confusion import Confusion, scores
from models.evaluation import bootstrap

COUNTS = ["tp", "fp", "fn", "tn"]


def overall(counts: pd.DataFrame) -> dict[str, Any]:
    """Scores of counts by site: pooled, as means over the sites, and within the AOI alone.

    `of1` is EuroMineNet's: the mean of the sites' F1 weighed by their pixels; `of1_plain` weighs all
    sites alike. The interval is that of the pooled F1 by bootstrap over sites.
    """
    inside = counts[counts.aoi]
    sites = counts.groupby("site_id")[COUNTS].sum().to_numpy(np.int64)
    return {
        **scores(total(counts)),
        "of1": mean_over_sites(counts, "f1", weighted=True),
        "of1_plain": mean_over_sites(counts, "f1", weighted=False),
        "f1_interval": list(bootstrap.interval(sites)),
        "aoi": scores(total(inside)),
        "pixels": vars(total(counts)),
    }


INTERVALS = ["interval", "of1", "of1_plain"]


def by_interval(counts: pd.DataFrame) -> pd.DataFrame:
    """A row for each interval of counts by site, `t1` and `t2`: the means over the sites that `overall` has
    (EuroMineNet's tables 5 and 6), pooled scores and counts. A site's pairs of an interval are pooled."""
    gaps = [periods.interval(t1, t2) for t1, t2 in zip(counts.t1, counts.t2, strict=True)]
    rows: list[dict[str, Any]] = []
    for gap, pairs in counts.groupby(np.array(gaps, np.int64)):
        means = (mean_over_sites(pairs, "f1", weighted) for weighted in (True, False))
        found = total(pairs)
        rows.append({**dict(zip(INTERVALS, (gap, *means), strict=True)), **scores(found), **vars(found)})
    return pd.DataFrame(rows, columns=[*INTERVALS, *scores(total(counts)), *COUNTS])


def by_column(counts: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row of scores and counts for each value of a column."""
    rows: list[dict[str, Any]] = []
    for value, found in by(counts, column).items():
        rows.append({column: value, **scores(found), **vars(found)})
    return pd.DataFrame(rows)


def total(table: pd.DataFrame) -> Confusion:
    """Sum of the rows' counts."""
    return Confusion(*(int(table[name].sum()) for name in COUNTS))


def by(table: pd.DataFrame, column: str) -> dict[Any, Confusion]:
    """Sums of the counts by a column's values, in order."""
    return {value: total(rows) for value, rows in table.groupby(column, sort=True)}


def mean_over_sites(table: pd.DataFrame, score: str, weighted: bool) -> float:
    """A score of each site, averaged over the sites that define it, with their known pixels as weights
    (EuroMineNet's OF1) or without; NaN where none does."""
    found = [(scores(c)[score], sum(vars(c).values())) for c in by(table, "site_id").values()]
    known = [(value, weight) for value, weight in found if value == value]
    if not known:
        return float("nan")
    values, weights = np.array(known).T
    return float(np.average(values, weights=weights if weighted else None))
