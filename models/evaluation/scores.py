"""Scores of an evaluation's counts: pooled, by site, by date."""

from typing import Any

import numpy as np
import pandas as pd

from models.evaluation import bootstrap, tally
from models.metrics import scores

COUNTS = ["tp", "fp", "fn", "tn"]


def overall(counts: pd.DataFrame) -> dict[str, Any]:
    """Scores of counts by site: pooled, as means over the sites, and within the AOI alone.

    `of1` is EuroMineNet's: the mean of the sites' F1 weighed by their pixels; `of1_plain` weighs all
    sites alike. The interval is that of the pooled F1 by bootstrap over sites.
    """
    inside = counts[counts.aoi]
    sites = counts.groupby("site_id")[COUNTS].sum().to_numpy(np.int64)
    return {
        **scores(tally.total(counts)),
        "of1": tally.mean_over_sites(counts, "f1", weighted=True),
        "of1_plain": tally.mean_over_sites(counts, "f1", weighted=False),
        "f1_interval": list(bootstrap.interval(sites)),
        "aoi": scores(tally.total(inside)),
        "pixels": vars(tally.total(counts)),
    }


def by_column(counts: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row of scores and counts for each value of a column."""
    rows: list[dict[str, Any]] = []
    for value, found in tally.by(counts, column).items():
        rows.append({column: value, **scores(found), **vars(found)})
    return pd.DataFrame(rows)
