"""A site's labels in memory: what is mine, what was clear, and the label of any pair of periods."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minebench.cube import shards, store
from minebench.errors import NotMadeYet
from minebench.masks import UNKNOWN, bits, change_label

WHOLE = np.s_[:, :]
Mask = NDArray[np.uint8]


class Count(NamedTuple):
    """Pixels of a pair. `expanded` and `reduced` are None where change itself was labelled."""

    changed: int
    expanded: int | None
    reduced: int | None
    unknown: int


@dataclass(frozen=True)
class Labels:
    """`mine` and `clear` (period, y, x) and, where change itself was labelled, `change` (pair, y, x) with
    the place of each pair in it. A window is a pair of slices (y, x)."""

    periods: list[str]
    mine: Mask
    clear: Mask
    change: Mask | None
    drawn: dict[tuple[str, str], int]

    @classmethod
    def read(cls, path: Path) -> "Labels":
        """A cube's masks. WorkError where it has none."""
        if not store.receipt(path / "mine").is_file():
            raise NotMadeYet(f"{path} has no masks: run `minebench annotate` first.")
        try:
            mine, clear = shards.read(path / "mine"), shards.read(path / "clear")
            has_change = store.receipt(path / "change").is_file()
            change = shards.read(path / "change") if has_change else None
        except (KeyError, FileNotFoundError):
            raise NotMadeYet(f"{path} has no masks: run `minebench annotate` first.") from None
        return cls(store.periods_of(path), mine, clear, change, store.change_of(path))

    def within(self, counted: NDArray[np.bool_]) -> "Labels":
        """The labels of some pixels (y, x); all others are unknown."""
        unknown = np.uint8(UNKNOWN)
        change = None if self.change is None else np.where(counted, self.change, unknown)
        return replace(self, mine=np.where(counted, self.mine, unknown), change=change)

    def known(self, window: Any = WHOLE) -> NDArray[np.bool_]:
        """Where footprints are known: annotated, and with a clear pixel behind (period, y, x)."""
        inside = (slice(None), *window)
        return (self.mine[inside] != UNKNOWN) & (self.clear[inside] > 0)

    def label(self, t1: str, t2: str, window: Any = WHOLE) -> Mask:
        """A pair's change label (y, x) in {0, 1, 255}: as drawn, or from the two footprints; unknown
        where either image shows nothing clear."""
        i, j = self.periods.index(t1), self.periods.index(t2)
        if self.change is None:
            label = change_label(self.mine[i][window], self.mine[j][window])
        else:
            label = self.change[self.drawn[t1, t2]][window].copy()
        label[(self.clear[i][window] == 0) | (self.clear[j][window] == 0)] = UNKNOWN
        return label

    def counts(self, window: Any = WHOLE) -> dict[tuple[str, str], Count]:
        """Pixels of every labelled pair, (earlier, later); all pairs of footprints in one pass."""
        if self.change is not None:
            found = {pair: self.label(*pair, window) for pair in self.drawn}
            return {
                pair: Count(int((label == 1).sum()), None, None, int((label == UNKNOWN).sum()))
                for pair, label in found.items()
            }
        mine = self.mine[(slice(None), *window)]
        counted = changes(mine, self.known(window))
        changed, unknown = counted.changed, mine[0].size - counted.known
        return {
            (a, b): Count(*(int(t[i, j]) for t in (changed, counted.expanded, counted.reduced, unknown)))
            for i, a in enumerate(self.periods)
            for j, b in enumerate(self.periods)
            if i < j
        }


# How many pixels change between every two dates of a mask.


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
