"""Scores from pixel counts, and consistency over time.

Counts are summed first and divided last: no score is a mean of batch means. Where a score's
denominator is 0 it is NaN, undefined, and no mean takes it in.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.masks import UNKNOWN


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of a binary decision; they add up."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)


def confusion(pred: NDArray[Any], true: NDArray[Any], ignore: int = UNKNOWN) -> Confusion:
    """Counts of `pred` (boolean or 0/1) against `true` (0, 1 or `ignore`), of any one shape.
    ValueError where the shapes differ."""
    if pred.shape != true.shape:
        raise ValueError(f"pred is {pred.shape} and true is {true.shape}")
    known = true != ignore
    p, t = pred[known].astype(bool), true[known] == 1
    tp, positives, truths = int((p & t).sum()), int(p.sum()), int(t.sum())
    return Confusion(tp, positives - tp, truths - tp, int(known.sum()) - positives - truths + tp)


def scores(counts: Confusion) -> dict[str, float]:
    """Overall accuracy, precision, recall, F1 and IoU of the positive class; NaN where undefined.

    F1 is undefined only where nothing is positive in truth or prediction; a prediction of all
    background against any truth has F1 0.
    """
    c = counts
    return {
        "oa": _ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn),
        "precision": _ratio(c.tp, c.tp + c.fp),
        "recall": _ratio(c.tp, c.tp + c.fn),
        "f1": _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn),
        "iou": _ratio(c.tp, c.tp + c.fp + c.fn),
    }


def temporal_consistency(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """LCA- and GCA-TIoU (EuroMineNet, Yu et al. 2025) of boolean masks (T, ...).

    For dates i and j, over the pixels U whose truth did not change between them, CA-TIoU is
    |P_i ∩ P_j ∩ U| / |(P_i ∪ P_j) ∩ U|. LCA is the mean over consecutive dates, GCA over all
    pairs. A pair whose union is empty (nothing predicted on either date) is undefined and left
    out; with no defined pair the result is NaN, so an all-background model earns no consistency.
    """
    table = consistency_table(pred, true)
    count = len(table)
    consecutive = [table[i, i + 1] for i in range(count - 1)]
    every = [table[i, j] for i, j in combinations(range(count), 2)]
    return _mean(consecutive), _mean(every)


def consistency_table(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """CA-TIoU of every pair of dates, (T, T); NaN where the union is empty and on the diagonal.

    Masks are packed to bits, and pairs counted with popcount, which
    equals the plain loop over boolean arrays exactly.
    """
    if pred.shape != true.shape:
        raise ValueError(f"pred is {pred.shape} and true is {true.shape}")
    dates = len(pred)
    p = np.packbits(pred.astype(bool).reshape(dates, -1), axis=1)
    g = np.packbits(true.astype(bool).reshape(dates, -1), axis=1)
    table = np.full((dates, dates), np.nan)
    for i, j in combinations(range(dates), 2):
        stable = ~(g[i] ^ g[j])
        union = int(np.bitwise_count((p[i] | p[j]) & stable).sum())
        if union:
            table[i, j] = table[j, i] = int(np.bitwise_count(p[i] & p[j] & stable).sum()) / union
    return table


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[Any]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
