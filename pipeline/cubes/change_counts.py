"""How many pixels change between every two dates of a mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.masks import bits

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


def changes(mine: NDArray[np.uint8], known: NDArray[np.bool_]) -> Changes:
    """Every pair's counts in one pass over `mine` and `known`, both (period, ...).

    Masks are packed to bits, eight pixels a byte, and pairs counted by popcount: with M the mine and
    K what is known, a pair (i, j) has |M_j ∩ K_i| - |M_i ∩ M_j| pixels expanded. Equal to the plain
    loop over boolean arrays.
    """
    dates = len(mine)
    k = bits(known.reshape(dates, -1))
    m = bits((mine == 1).reshape(dates, -1)) & k
    both, seen, kept = (np.zeros((dates, dates), np.int64) for _ in range(3))
    for i in range(dates):
        # Row i against all dates at once: kept[i, j] = |M_i ∩ M_j|, seen[i, j] = |K_i ∩ M_j|.
        both[i] = np.bitwise_count(k[i] & k).sum(axis=1, dtype=np.int64)
        seen[i] = np.bitwise_count(k[i] & m).sum(axis=1, dtype=np.int64)
        kept[i] = np.bitwise_count(m[i] & m).sum(axis=1, dtype=np.int64)
    return Changes(seen - kept, seen.T - kept, both)
