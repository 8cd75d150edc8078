"""Scores from pixel counts, and consistency over time.

Counts are summed first and divided last: no score is a mean of batch means. A score whose denominator is 0
is undefined, NaN, and means over sites or dates leave it out.
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
    """Pixel counts of a binary classification; add them with +."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)


def confusion(pred: NDArray[Any], true: NDArray[Any], ignore: int = UNKNOWN) -> Confusion:
    """Return the pixel counts of a prediction.

    Parameters
    ----------
    pred
        Prediction, boolean or 0/1.
    true
        Truth of the same shape: 0, 1 or `ignore`.
    ignore
        Value of pixels to leave out.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if pred.shape != true.shape:
        raise ValueError(f"pred is {pred.shape} and true is {true.shape}")
    known = true != ignore
    p, t = pred[known].astype(bool), true[known] == 1
    tp, positives, truths = int((p & t).sum()), int(p.sum()), int(t.sum())
    return Confusion(tp, positives - tp, truths - tp, int(known.sum()) - positives - truths + tp)


def scores(counts: Confusion) -> dict[str, float]:
    """Return scores from 0 to 1 (kappa from -1) by name; NaN if undefined.

    They are overall accuracy; precision, recall, F1 and IoU of the positive class; kappa; and the means of
    F1 and IoU over both classes.

    F1 is undefined only if neither truth nor prediction has a positive; a prediction of all background for
    any other truth has F1 0. Kappa and the means over both classes are undefined if truth and prediction are
    all of one class.
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
    """Return the agreement beyond chance, given the two classes' shares (Cohen 1960)."""
    total = c.tp + c.fp + c.fn + c.tn
    by_chance = (c.tp + c.fp) * (c.tp + c.fn) + (c.fn + c.tn) * (c.fp + c.tn)
    return _ratio((c.tp + c.tn) * total - by_chance, total * total - by_chance)


def temporal_consistency(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Return LCA- and GCA-TIoU (EuroMineNet, Yu et al. 2025) of boolean masks (T, ...).

    For dates i and j, over the pixels U whose truth did not change between them, CA-TIoU is
    |P_i ∩ P_j ∩ U| / |(P_i ∪ P_j) ∩ U|. LCA is the mean over consecutive dates, GCA over all pairs. A pair
    whose union is empty (nothing predicted at either date) is undefined and left out. Without any defined
    pair the result is NaN, so that a model that predicts only background has no score.
    """
    return lca_gca(*consistency_counts(pred, true))


def lca_gca(shared: NDArray[np.int64], union: NDArray[np.int64]) -> tuple[float, float]:
    """Return LCA and GCA from counts of `consistency_counts`, which may be sums over tiles."""
    tiou = np.divide(shared, union, out=np.full(union.shape, np.nan), where=union > 0)
    dates = len(tiou)
    consecutive = [tiou[i, i + 1] for i in range(dates - 1)]
    all_pairs = [tiou[i, j] for i, j in combinations(range(dates), 2)]
    return _mean(consecutive), _mean(all_pairs)


def consistency_counts(
    pred: NDArray[np.bool_], true: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return |P_i ∩ P_j ∩ U| and |(P_i ∪ P_j) ∩ U| of all pairs of dates; see `temporal_consistency`.

    Counted with one thread per core; a loop over boolean arrays gives the same.

    Parameters
    ----------
    pred, true
        Boolean masks (T, ...) of one shape.

    Returns
    -------
    shared, union : numpy.ndarray
        Counts (T, T) int64 at [i, j] for i < j, 0 elsewhere.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if pred.shape != true.shape:
        raise ValueError(f"pred is {pred.shape} and true is {true.shape}")
    dates = len(pred)
    p, g = (np.ascontiguousarray(masks.reshape(dates, -1), np.bool_) for masks in (pred, true))
    parts = [slice(start, start + PART) for start in range(0, p.shape[1], PART)]
    if len(parts) == 1:
        return _counted(p, g)
    with ThreadPoolExecutor(cores.count()) as threads:
        counts = list(threads.map(lambda part: _counted(p[:, part], g[:, part]), parts))
    return sum(shared for shared, _ in counts), sum(union for _, union in counts)  # type: ignore[return-value]


PART = 1 << 18
"""Pixels per date that are counted at once, a multiple of 64."""


def _counted(pred: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shared, union = np.zeros((2, len(pred), len(pred)), np.int64)
    if odd := -pred.shape[1] % 64:
        # Padding is False in all masks, so it adds to no count.
        pred, true = (np.pad(masks, [(0, 0), (0, odd)]) for masks in (pred, true))
    stable_counts(pred.view(np.uint64), true.view(np.uint64), shared, union)
    return shared, union


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[Any]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
