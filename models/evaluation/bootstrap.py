"""How sure a score is, and whether two models differ, with sites as the units that were drawn.

Pixels of one site are anything but independent, so intervals from pixels or tiles would be far too
narrow. Counts are summed over the drawn sites before a score is taken.
"""

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000
LEVEL = 0.95


def f1_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of counts (..., 4) of tp, fp, fn, tn; NaN where undefined."""
    tp, fp, fn = (counts[..., i] for i in range(3))
    whole = 2 * tp + fp + fn
    return np.divide(2 * tp, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def interval(sites: NDArray[np.int64], seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of the pooled F1 by drawing sites with replacement (Efron 1979), from counts
    (S, 4); NaN with fewer than two sites."""
    if len(sites) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(sites), size=(ROUNDS, len(sites)))
    found = f1_of(sites[drawn].sum(axis=1))
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired(first: NDArray[np.int64], second: NDArray[np.int64], seed: int = 0) -> float:
    """Chance of a difference in pooled F1 at least as large as found, had each site's two predictions
    been either model's (a permutation test, two-sided); counts (S, 4) of the same sites.

    With S sites it cannot be less than 2 / 2**S. NaN with fewer than two sites.
    """
    if len(first) < 2:
        return float("nan")
    seen = abs(f1_of(first.sum(axis=0)) - f1_of(second.sum(axis=0)))
    if len(first) <= 12:
        swaps = (np.arange(2 ** len(first))[:, None] >> np.arange(len(first))) & 1
    else:
        swaps = np.random.default_rng(seed).integers(2, size=(5 * ROUNDS, len(first)))
        swaps[0] = 0  # what was seen is one of the possible outcomes
    chosen = swaps[..., None].astype(bool)
    one = np.where(chosen, second, first).sum(axis=1)
    other = np.where(chosen, first, second).sum(axis=1)
    differences = np.abs(f1_of(one) - f1_of(other))
    return float((differences >= seen - 1e-12).mean())
