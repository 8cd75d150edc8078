"""Scores from pixel counts, and consistency over time.

Counts are summed first and divided last: no score is a mean of batch means. Where a score's
denominator is 0 it is NaN, undefined, and no mean over sites or dates takes it in.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minebench import cores
from minebench.masks import UNKNOWN
from minebench.metrics.popcount import stable_counts


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
    """Overall accuracy; precision, recall, F1 and IoU of the positive class; kappa; means of F1 and IoU
    over both classes. NaN where undefined.

    F1 is undefined only where nothing is positive in truth or prediction; a prediction of all
    background against any truth has F1 0. Kappa is undefined where truth and prediction are one class, and so
    are the means over both classes: that of the one class there is would stand beside means of two.
    """
    c = counts
    background = Confusion(tp=c.tn, fp=c.fn, fn=c.fp, tn=c.tp)
    return {
        "oa": _ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn),
        "precision": _ratio(c.tp, c.tp + c.fp),
        "recall": _ratio(c.tp, c.tp + c.fn),
        "f1": _f1(c),
        "iou": _iou(c),
        "kappa": _kappa(c),
        "mf1": (_f1(c) + _f1(background)) / 2,
        "miou": (_iou(c) + _iou(background)) / 2,
    }


def _f1(c: Confusion) -> float:
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def _iou(c: Confusion) -> float:
    return _ratio(c.tp, c.tp + c.fp + c.fn)


def _kappa(c: Confusion) -> float:
    """Agreement beyond what the two classes' shares would give by chance (Cohen 1960)."""
    total = c.tp + c.fp + c.fn + c.tn
    by_chance = (c.tp + c.fp) * (c.tp + c.fn) + (c.fn + c.tn) * (c.fp + c.tn)
    return _ratio((c.tp + c.tn) * total - by_chance, total * total - by_chance)


def temporal_consistency(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """LCA- and GCA-TIoU (EuroMineNet, Yu et al. 2025) of boolean masks (T, ...).

    For dates i and j, over the pixels U whose truth did not change between them, CA-TIoU is
    |P_i ∩ P_j ∩ U| / |(P_i ∪ P_j) ∩ U|. LCA is the mean over consecutive dates, GCA over all
    pairs. A pair whose union is empty (nothing predicted on either date) is undefined and left
    out; with no defined pair the result is NaN, so an all-background model earns no consistency.
    """
    return lca_gca(*consistency_counts(pred, true))


def lca_gca(shared: NDArray[np.int64], union: NDArray[np.int64]) -> tuple[float, float]:
    """LCA and GCA from the counts of `consistency_counts`, summed over as many tiles as one likes."""
    table = np.divide(shared, union, out=np.full(union.shape, np.nan), where=union > 0)
    count = len(table)
    consecutive = [table[i, i + 1] for i in range(count - 1)]
    every = [table[i, j] for i, j in combinations(range(count), 2)]
    return _mean(consecutive), _mean(every)


def consistency_counts(
    pred: NDArray[np.bool_], true: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """|P_i ∩ P_j ∩ U| and |(P_i ∪ P_j) ∩ U| of every pair of dates i < j of boolean masks (T, ...), each
    (T, T) and 0 elsewhere.

    Parts are counted on as many threads as there are cores; equal to the plain loop over boolean arrays.
    """
    if pred.shape != true.shape:
        raise ValueError(f"pred is {pred.shape} and true is {true.shape}")
    dates = len(pred)
    p, g = (np.ascontiguousarray(masks.reshape(dates, -1), np.bool_) for masks in (pred, true))
    parts = [slice(start, start + PART) for start in range(0, p.shape[1], PART)]
    if len(parts) == 1:
        return _counted(p, g)
    with ThreadPoolExecutor(cores.count()) as threads:
        found = list(threads.map(lambda part: _counted(p[:, part], g[:, part]), parts))
    return sum(shared for shared, _ in found), sum(union for _, union in found)  # type: ignore[return-value]


PART = 1 << 18
"""Pixels of a date that are counted at a time, whole words of 64."""


def _counted(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shared, union = np.zeros((2, len(pred), len(pred)), np.int64)
    if odd := -pred.shape[1] % 64:
        # Pixels that are never set count nowhere.
        pred, true = (np.pad(masks, [(0, 0), (0, odd)]) for masks in (pred, true))
    stable_counts(pred.view(np.uint64), true.view(np.uint64), shared, union)
    return shared, union


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[Any]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
