"""A site's labels in memory: footprints, clear observations, and the change label of any pair of periods."""

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
    """Pixel counts of a pair of periods; `expanded` and `reduced` are None if change itself was labelled."""

    changed: int
    expanded: int | None
    reduced: int | None
    unknown: int


@dataclass(frozen=True)
class Labels:
    """A site's labels. Methods take a window, a pair of slices (y, x); default: the whole site.

    Attributes
    ----------
    periods
        Labels of the periods, in order of time.
    mine
        Footprints (period, y, x) in {0, 1, 255}, with 255 for unknown.
    clear
        Counts of clear observations (period, y, x).
    change
        Change labels (pair, y, x) in {0, 1, 255}; None unless change itself was labelled.
    drawn
        Index into `change` of each pair of periods.
    """

    periods: list[str]
    mine: Mask
    clear: Mask
    change: Mask | None
    drawn: dict[tuple[str, str], int]

    @classmethod
    def read(cls, path: Path) -> "Labels":
        """Return the labels of the cube at `path`. NotMadeYet if it has none."""
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
        """Return the labels with all pixels unknown but those that are True in `counted` (y, x)."""
        unknown = np.uint8(UNKNOWN)
        change = None if self.change is None else np.where(counted, self.change, unknown)
        return replace(self, mine=np.where(counted, self.mine, unknown), change=change)

    def known(self, window: Any = WHOLE) -> NDArray[np.bool_]:
        """Return where (period, y, x) footprints are annotated and there is a clear observation."""
        inside = (slice(None), *window)
        return (self.mine[inside] != UNKNOWN) & (self.clear[inside] > 0)

    def label(self, t1: str, t2: str, window: Any = WHOLE) -> Mask:
        """Return a pair's change label (y, x) in {0, 1, 255}.

        It is the labelled change if there is any, else the difference of the two footprints; 255 where
        either period has no clear observation.
        """
        i, j = self.periods.index(t1), self.periods.index(t2)
        if self.change is None:
            label = change_label(self.mine[i][window], self.mine[j][window])
        else:
            label = self.change[self.drawn[t1, t2]][window].copy()
        label[(self.clear[i][window] == 0) | (self.clear[j][window] == 0)] = UNKNOWN
        return label

    def counts(self, window: Any = WHOLE) -> dict[tuple[str, str], Count]:
        """Return pixel counts by labelled pair of periods (earlier, later)."""
        if self.change is not None:
            labels = {pair: self.label(*pair, window) for pair in self.drawn}
            return {
                pair: Count(int((label == 1).sum()), None, None, int((label == UNKNOWN).sum()))
                for pair, label in labels.items()
            }
        mine = self.mine[(slice(None), *window)]
        pixels = changes(mine, self.known(window))
        changed, unknown = pixels.changed, mine[0].size - pixels.known
        return {
            (a, b): Count(*(int(t[i, j]) for t in (changed, pixels.expanded, pixels.reduced, unknown)))
            for i, a in enumerate(self.periods)
            for j, b in enumerate(self.periods)
            if i < j
        }


Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """Pixel counts by pair of periods, each (period, period) indexed [earlier, later].

    Attributes
    ----------
    expanded
        Mine in the later period only.
    reduced
        Mine in the earlier period only.
    known
        Known in both periods.
    """

    expanded: Counts
    reduced: Counts
    known: Counts

    @property
    def changed(self) -> Counts:
        """Expanded or reduced."""
        return self.expanded + self.reduced


def changes(mine: NDArray[np.uint8], known: NDArray[np.bool_]) -> Changes:
    """Return the pixel counts of all pairs of periods in one pass.

    Masks are packed to bits, and pairs are counted by popcount: with M the mine and K the known pixels,
    |M_j ∩ K_i| - |M_i ∩ M_j| pixels of a pair (i, j) are expanded. A loop over boolean arrays gives the same.

    Parameters
    ----------
    mine
        Footprints (period, ...) in {0, 1, 255}.
    known
        Where they are known, of the same shape.
    """
    dates = len(mine)
    k = bits(known.reshape(dates, -1))
    m = bits((mine == 1).reshape(dates, -1)) & k
    k_and_k, k_and_m, m_and_m = (np.zeros((dates, dates), np.int64) for _ in range(3))
    for i in range(dates):
        # Row i against all dates at once: k_and_m[i, j] = |K_i ∩ M_j|.
        k_and_k[i] = np.bitwise_count(k[i] & k).sum(axis=1, dtype=np.int64)
        k_and_m[i] = np.bitwise_count(k[i] & m).sum(axis=1, dtype=np.int64)
        m_and_m[i] = np.bitwise_count(m[i] & m).sum(axis=1, dtype=np.int64)
    return Changes(k_and_m - m_and_m, k_and_m.T - m_and_m, k_and_k)
