"""How much changed from one probability on or another, and how that agrees with the labels (OMS2CD, Dibble
2023, 4.5 and appendices C to E).

    index/activity/at_thresholds.parquet    site, source, threshold, interval: areas, pixels (`AT`)
    index/activity/by_threshold.parquet     source, threshold: agreement over all intervals (`COLUMNS`)

What is not known is NaN.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from minebench import tables
from minebench.metrics.confusion import Confusion, confusion, scores
from pipeline.activity import measures
from pipeline.activity.change_maps import MEDIAN, TRUTH, ChangeMaps, median

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COUNTS = ("tp", "fp", "fn", "tn")
AT = {
    "site_id": "str", "source": "str", "threshold": "float64", "t1": "str", "t2": "str",
    "changed_m2": "float64", "labels_m2": "float64", **dict.fromkeys(COUNTS, "float64"),
}  # fmt: skip
"""Areas are those of `intervals`; pixels are counted where both the source and the labels know them."""
COLUMNS = {
    "source": "str", "threshold": "float64", "intervals": "int64", "changed_m2": "float64",
    "labels_m2": "float64", "pearson_area": "float64", "p_area": "float64", "rmse_m2": "float64",
    "f1": "float64", "precision": "float64", "recall": "float64",
}  # fmt: skip
"""`intervals` are those that source and labels know both, on all sites, and all else is of them."""


def of_site(
    site_id: str, sources: Sequence[ChangeMaps], aoi: NDArray[np.bool_], pixel_m2: float
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `AT` of a site's runs and of their median."""
    truth = next((maps for maps in sources if maps.source == TRUTH), None)
    runs = [maps for maps in sources if maps.source not in (TRUTH, MEDIAN)]
    for threshold in THRESHOLDS if runs else ():
        at = [replace(maps, threshold=threshold) for maps in runs]
        for maps in [*at, median(at)] if len(at) > 1 else at:
            for pair, row in zip(maps.pairs, _against(truth, maps, aoi, pixel_m2), strict=True):
                yield (site_id, maps.source, threshold, *pair, *row)


def _against(
    truth: ChangeMaps | None, maps: ChangeMaps, aoi: NDArray[np.bool_], pixel_m2: float
) -> Iterator[tuple[float, ...]]:
    """Yield, per interval, the changed areas of a source and of the labels, and their pixels' counts."""
    changed, seen = maps.changed & aoi, maps.known & aoi
    true, known = (np.zeros_like(seen),) * 2 if truth is None else (truth.changed & aoi, truth.known & aoi)
    for i in range(len(maps.pairs)):
        both = seen[i] & known[i]
        counts = vars(confusion(changed[i][both], true[i][both])) if both.any() else {}
        yield (
            _area(changed[i], seen[i], pixel_m2), _area(true[i], known[i], pixel_m2),
            *(float(counts.get(name, np.nan)) for name in COUNTS),
        )  # fmt: skip


def _area(changed: NDArray[np.bool_], known: NDArray[np.bool_], pixel_m2: float) -> float:
    return float(changed.sum() * pixel_m2) if known.any() else float("nan")


def agreement(path: Path, sources: Iterable[str]) -> pd.DataFrame:
    """Return the table `COLUMNS` from the table `AT` at `path`; memory holds one source at a time."""
    rows = []
    for source in sources:
        parts = list(tables.batches(path, "activity", where=pc.field("source") == source))
        both = pd.concat(parts).dropna(subset=["changed_m2", "labels_m2"]) if parts else pd.DataFrame()
        for threshold, intervals in both.groupby("threshold", sort=True) if len(both) else ():
            r, p = measures.correlation(intervals.changed_m2, intervals.labels_m2)
            error = float(np.sqrt(((intervals.changed_m2 - intervals.labels_m2) ** 2).mean()))
            pixels = scores(Confusion(*(int(intervals[name].sum()) for name in COUNTS)))
            rows.append((
                source, threshold, len(intervals), intervals.changed_m2.sum(), intervals.labels_m2.sum(),
                r, p, error,
                *(pixels[name] for name in ("f1", "precision", "recall")),
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
