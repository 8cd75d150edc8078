"""What a site's change maps come to: areas by interval, NDTCI, when each pixel changed, how sources agree.

Areas are in m², within the AOI. `cumulative_m2` counts a pixel that changed in several intervals once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from minebench.metrics.activity import Activity, first_and_last, ndtci
from minebench.periods import months_between
from minebench.text import EVERY_SITE
from pipeline.activity.change_maps import ChangeMaps, Pair

INTERVALS = {
    "site_id": "str", "source": "str", "t1": "str", "t2": "str", "months": "float64", "known": "float64",
    "changed_m2": "float64", "new_m2": "float64", "cumulative_m2": "float64", "aoi_share": "float64",
    "ndtci": "float64", "ndtci_everywhere": "float64",
}  # fmt: skip
"""`known` and `aoi_share` are shares of the AOI: seen on both dates, and changed so far. `ndtci` is the mean
of the AOI's own index, `ndtci_everywhere` of the whole grid's."""
AGREEMENT = {
    "site_id": "str", "first": "str", "second": "str", "intervals": "int64", "pearson_area": "float64",
    "rmse_m2": "float64", "pearson_ndtci": "float64", "p_area": "float64", "p_ndtci": "float64",
    "rmse_ndtci": "float64", "rmse_ndtci_everywhere": "float64",
}  # fmt: skip
"""`p_area` and `p_ndtci` are how likely a correlation as strong is where there is none (two-sided)."""


@dataclass(frozen=True)
class Measured:
    """A source's measures of a site: its rows of `intervals`, and its maps (H, W)."""

    rows: list[tuple[Any, ...]]
    everywhere: Activity
    within: Activity
    weights: NDArray[np.float64] | None
    first: NDArray[np.uint16]
    last: NDArray[np.uint16]
    never: NDArray[np.bool_]
    """Where no interval is known."""


def measure(
    site_id: str, maps: ChangeMaps, aoi: NDArray[np.bool_], pixel_m2: float, months: Sequence[float],
    by_length: bool,
) -> Measured:  # fmt: skip
    """`months` are the lengths of the intervals, by which the mean NDTCI weighs where `by_length`."""
    everywhere = ndtci(maps.change, pixel_m2=pixel_m2, known=maps.known)
    within = ndtci(maps.change, pixel_m2=pixel_m2, known=maps.known & aoi)
    changed, inside = maps.changed, max(1, int(aoi.sum()))
    so_far = np.zeros(aoi.shape, bool)
    rows = []
    for i, (t1, t2) in enumerate(maps.pairs):
        own = changed[i] & aoi
        new = int((own & ~so_far).sum())
        so_far |= own
        total = int(so_far.sum())
        rows.append((
            site_id, maps.source, t1, t2, months[i], float((maps.known[i] & aoi).sum() / inside),
            own.sum() * pixel_m2, new * pixel_m2, total * pixel_m2, total / inside,
            within.timeline[i], everywhere.timeline[i],
        ))  # fmt: skip
    first, last = first_and_last(changed)
    weights = np.asarray(months, np.float64) if by_length else None
    never = np.logical_not(maps.known.any(axis=0))
    return Measured(rows, everywhere, within, weights, first, last, never)


def agreement(intervals: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """How two sources agree over the intervals of each site, and of all sites together: Pearson's
    correlation of changed areas and of NDTCI, and the root mean square difference of areas in m², and of
    NDTCI within the AOI and everywhere (OMS2CD, figure 4.15). What a source does not know at all counts
    nowhere: its area of 0 would be no change."""
    intervals = intervals.reindex(columns=list(INTERVALS))
    intervals = intervals[intervals.known.ne(0)]
    for site_id, own in intervals.groupby("site_id", sort=True):
        yield from _agreement(str(site_id), own)
    if len(set(intervals.site_id)) > 1:
        yield from _agreement(EVERY_SITE, intervals)


def _agreement(name: str, rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    table = rows.set_index(["site_id", "t1", "t2"])
    by_source = {source: table[table.source == source] for source in rows.source.unique()}
    for first, second in combinations(by_source, 2):
        both = by_source[first].merge(
            by_source[second], left_index=True, right_index=True, suffixes=("_1", "_2")
        )
        if both.empty:
            continue
        areas, indices = (
            correlation(both[f"{name}_1"], both[f"{name}_2"]) for name in ("changed_m2", "ndtci")
        )
        yield (
            name, first, second, len(both), areas[0], _rmse(both, "changed_m2"), indices[0], areas[1],
            indices[1], _rmse(both, "ndtci"), _rmse(both, "ndtci_everywhere"),
        )  # fmt: skip


def _rmse(both: pd.DataFrame, column: str) -> float:
    """Of two sources' values of a column, where both are known."""
    return float(np.sqrt(((both[f"{column}_1"] - both[f"{column}_2"]) ** 2).mean()))


def pearson(first: pd.Series, second: pd.Series) -> float:
    """See `correlation`."""
    return correlation(first, second)[0]


def correlation(first: pd.Series, second: pd.Series) -> tuple[float, float]:
    """Pearson's r and its p; NaN with fewer than three common values, or where one does not vary."""
    known = first.notna() & second.notna()
    a, b = first[known].to_numpy(), second[known].to_numpy()
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan")
    found = stats.pearsonr(a, b)
    return float(found.statistic), float(found.pvalue)


def lengths(starts: dict[str, Any], pairs: Sequence[Pair]) -> list[float]:
    """Return the lengths of intervals in months, by the first days of their periods."""
    return [months_between(starts[a], starts[b]) for a, b in pairs]
