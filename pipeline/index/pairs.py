"""Pairs of a site's periods: which are wanted, and how many pixels change in each of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import Recipe

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """Pixel counts by pair of periods, (period, period) tables read as [earlier, later]; `known` is
    known in both."""

    expanded: Counts
    reduced: Counts
    known: Counts

    @property
    def changed(self) -> Counts:
        return self.expanded + self.reduced


def wanted(labels: list[str], recipe: Recipe) -> list[tuple[int, int]]:
    """Index pairs (earlier, later) of a site's periods, by the recipe."""
    count = len(labels)
    match recipe.pairs:
        case "all":
            return [(i, j) for i in range(count) for j in range(i + 1, count)]
        case "consecutive":
            return [(i, i + 1) for i in range(count - 1)]
        case "first_last":
            return [(0, count - 1)] if count > 1 else []
        case explicit:
            position = {label: i for i, label in enumerate(labels)}
            chosen = [(position[a], position[b]) for a, b in explicit if a in position and b in position]
            return sorted((min(pair), max(pair)) for pair in chosen)


def changes(mine: NDArray[np.uint8], known: NDArray[np.bool_]) -> Changes:
    """Every pair's counts in one pass over `mine` and `known`, both (period, ...).

    Masks are packed to bits, eight pixels a byte, and pairs counted by popcount: with M the mine and
    K what is known, a pair (i, j) has |M_j ∩ K_i| - |M_i ∩ M_j| pixels expanded. Equal to the plain
    loop over boolean arrays.
    """
    dates = len(mine)
    k = _bits(known.reshape(dates, -1))
    m = _bits((mine == 1).reshape(dates, -1)) & k
    both, seen, kept = (np.zeros((dates, dates), np.int64) for _ in range(3))
    for i in range(dates):
        # Row i against all dates at once: kept[i, j] = |M_i ∩ M_j|, seen[i, j] = |K_i ∩ M_j|.
        both[i] = np.bitwise_count(k[i] & k).sum(axis=1, dtype=np.int64)
        seen[i] = np.bitwise_count(k[i] & m).sum(axis=1, dtype=np.int64)
        kept[i] = np.bitwise_count(m[i] & m).sum(axis=1, dtype=np.int64)
    return Changes(seen - kept, seen.T - kept, both)


def _bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """(date, pixel) flags as 64 to a word."""
    packed = np.packbits(flags, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)
