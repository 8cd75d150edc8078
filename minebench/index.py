"""Rows of index tables: tiles (windows of a site's grid), pairs of periods, levels of analysis sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Literal, get_args

from minebench.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tile:
    """A window of a site, in pixels of its grid.

    Attributes
    ----------
    tile_id, site_id, split
        Ids of the tile and its site, and the split it belongs to.
    y0, x0
        First row and column.
    height, width
        Rows and columns inside the site.
    pad_y, pad_x
        Rows and columns of padding, below and right, where the site ends before the tile.
    """

    tile_id: str
    site_id: str
    split: str
    y0: int
    x0: int
    height: int
    width: int
    pad_y: int = 0
    pad_x: int = 0

    @property
    def window(self) -> tuple[slice, slice]:
        """Slices (y, x) of the site's arrays, without padding."""
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width with padding."""
        return self.height + self.pad_y, self.width + self.pad_x


PADDING, NODATA = "padding", "nodata"
"""Attribute of the table of tiles, and its value if padding is nodata; without it, padding repeats tiles."""
FIELDS = tuple(Tile.__dataclass_fields__)


def tiles_of(table: pd.DataFrame) -> list[Tile]:
    """Return the tiles of a table, in its order."""
    return [Tile(*row) for row in table[list(FIELDS)].itertuples(index=False)]


def starts(
    length: int, size: int, step: int, edge: Literal["shift", "drop", "pad"] = "shift", pad: bool = True
) -> list[int]:
    """Return where windows of `size` pixels start along a side of `length` pixels.

    Parameters
    ----------
    length, size, step
        Length of the side, length of a window, and distance between two starts, in pixels.
    edge
        What to do with a last window that crosses the edge: ``shift`` moves it back to end at the edge,
        ``drop`` leaves it out, ``pad`` lets it extend beyond the edge.
    pad
        With ``shift`` and ``drop``: whether a side shorter than a window has one window, to be padded, or
        none.
    """
    if edge == "pad":
        return [step * place for place in range(max(1, math.ceil((length - size) / step) + 1))]
    if length < size:
        return [0] if pad else []
    offsets = list(range(0, length - size + 1, step))
    if edge == "shift" and offsets[-1] + size < length:
        offsets.append(length - size)
    return offsets


# Levels of the analysis sets, in display order.


RINGS = ("outer", "middle", "inner", "core")
SIZES = ("small", "medium", "large")
SCALES = (2, 4, 8, 16)
UNALTERED = "unaltered"
"""Level of the original pairs, for comparison with coarser or shifted ones."""


def crossed(size: str, scale: int) -> str:
    """Return the level of pairs of one object size at one scale; scale 1 is full resolution."""
    return f"{size} at 1/{scale}"


LEVELS = (UNALTERED, *RINGS, *SIZES, "1", "2", "4", "8", "16",
          *(crossed(size, scale) for size in SIZES for scale in (1, *SCALES)))  # fmt: skip

# Rules for pairs of a site's periods.


Named = Literal["all", "consecutive", "first_last"]
Rule = Named | tuple[tuple[str, str], ...]


def named(word: str) -> Named:
    """Return the rule of this name. UnknownName if there is none."""
    for name in get_args(Named):
        if word == name:
            return name
    raise UnknownName(f"'{word}' is not a choice of pairs; choose one of {', '.join(get_args(Named))}.")


def wanted(labels: Sequence[str], rule: Rule) -> list[tuple[int, int]]:
    """Return the pairs of a site's periods that a rule selects.

    Parameters
    ----------
    labels
        Labels of the site's periods, in order of time.
    rule
        ``all``, ``consecutive``, ``first_last``, or the pairs by label; those with a period that the site
        lacks are left out.

    Returns
    -------
    list of (int, int)
        Positions (earlier, later) in `labels`.
    """
    positions = range(len(labels))
    match rule:
        case "all":
            return list(combinations(positions, 2))
        case "consecutive":
            return list(pairwise(positions))
        case "first_last":
            return [(0, len(labels) - 1)] if len(labels) > 1 else []
        case pairs:
            position = {label: i for i, label in enumerate(labels)}
            chosen = [(position[a], position[b]) for a, b in pairs if a in position and b in position]
            return sorted((min(pair), max(pair)) for pair in chosen)
