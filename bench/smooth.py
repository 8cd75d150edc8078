"""Smoothing a series over time, against a loop over pixels with the same recursions.

    python bench/smooth.py

Ten dates of 256 x 256 pixels: marginals, and the probability of change of all 45 pairs. The loop is measured
on some pixels, and its results are the same.
"""

import time
from itertools import combinations

import numpy as np
import torch

from models.smoothing import Smoothing

SIDE, DATES, LOOPED = 256, 10, 500
YEARS = [str(2015 + date) for date in range(DATES)]
PAIRS = list(combinations(range(DATES), 2))
CHAIN = Smoothing(0.05, 0.02, 0.2)


def main() -> None:
    torch.manual_seed(0)
    logits = torch.randn(DATES, SIDE, SIDE) * 2
    seen = torch.rand(DATES, SIDE, SIDE) > 0.1
    CHAIN.marginals(logits[:, :8], seen[:, :8], YEARS)
    begun = time.perf_counter()
    marginal = CHAIN.marginals(logits, seen, YEARS)
    at_once = time.perf_counter() - begun
    begun = time.perf_counter()
    CHAIN.changes(logits, seen, YEARS, PAIRS)
    pairs = time.perf_counter() - begun
    rows, columns = np.divmod(np.arange(LOOPED) * 131, SIDE)
    begun = time.perf_counter()
    found = [
        one(logits[:, y, x].double().numpy(), seen[:, y, x].numpy())
        for y, x in zip(rows, columns, strict=True)
    ]
    looped = (time.perf_counter() - begun) * SIDE * SIDE / LOOPED
    assert np.allclose(np.stack(found, axis=1), marginal[:, rows, columns].numpy(), atol=1e-5)
    ratio = looped / at_once
    said = f"{at_once:.3f} s; a loop over pixels {looped:.1f} s, {ratio:.0f} times"
    print(f"{DATES} dates of {SIDE} x {SIDE}: {said}")
    print(f"change of all {len(PAIRS)} pairs: {pairs:.2f} s")


def one(logits: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Marginals of a pixel."""
    rates = np.array([[1 - CHAIN.growth, CHAIN.growth], [CHAIN.reclamation, 1 - CHAIN.reclamation]])
    prior = np.log(CHAIN.share / (1 - CHAIN.share))
    mine = np.where(seen, 1 / (1 + np.exp(-(logits - prior))), 0.5).clip(1e-4, 1 - 1e-4)
    observed = np.stack([1 - mine, mine], axis=1)
    forward, backward = np.empty_like(observed), np.ones_like(observed)
    state = np.array([1 - CHAIN.share, CHAIN.share])
    for date, own in enumerate(observed):
        state = own * (state if date == 0 else state @ rates)
        state = forward[date] = state / state.sum()
    for date in range(len(observed) - 2, -1, -1):
        ahead = rates @ (observed[date + 1] * backward[date + 1])
        backward[date] = ahead / ahead.sum()
    both = forward * backward
    return both[:, 1] / both.sum(axis=1)


if __name__ == "__main__":
    main()
