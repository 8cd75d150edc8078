"""What index tables mean: tiles (windows of a site's grid), pairs of periods, levels of analysis sets."""

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
    """A window of a site, in pixels of its grid. Where the site ends before the tile, `height` and `width`
    are what there is, and `pad_y` and `pad_x` what fills it up to the tile's size."""

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
        """Rows and columns of the site."""
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width with padding."""
        return self.height + self.pad_y, self.width + self.pad_x


PADDING, NODATA = "padding", "nodata"
"""Attribute of the table of tiles, and its value where padding is no data; without it padding repeats."""
FIELDS = tuple(Tile.__dataclass_fields__)


def tiles_of(table: pd.DataFrame) -> list[Tile]:
    """The tiles of a table, in its order."""
    return [Tile(*row) for row in table[list(FIELDS)].itertuples(index=False)]


def starts(
    length: int, size: int, step: int, edge: Literal["shift", "drop", "pad"] = "shift", pad: bool = True
) -> list[int]:
    """Where windows of `size` start along a side of `length` pixels.

    With edge `shift` the last window is moved back to end at the edge; with `drop` it is left out; with
    `pad` it goes on beyond the edge. A side shorter than a window gives one window to be padded, or none.
    """
    if edge == "pad":
        return [step * place for place in range(max(1, math.ceil((length - size) / step) + 1))]
    if length < size:
        return [0] if pad else []
    found = list(range(0, length - size + 1, step))
    if edge == "shift" and found[-1] + size < length:
        found.append(length - size)
    return found


# Levels of the analysis sets, in the order in which they are shown.


RINGS = ("outer", "middle", "inner", "core")
SIZES = ("small", "medium", "large")
SCALES = (2, 4, 8, 16)
UNALTERED = "unaltered"
"""The same pairs as they are, beside those that are made coarser or shifted."""


def crossed(size: str, scale: int) -> str:
    """The level of pairs of one size at one scale; 1 is as they are."""
    return f"{size} at 1/{scale}"


LEVELS = (UNALTERED, *RINGS, *SIZES, "1", "2", "4", "8", "16",
          *(crossed(size, scale) for size in SIZES for scale in (1, *SCALES)))  # fmt: skip

# Which pairs of a site's periods are wanted.


Named = Literal["all", "consecutive", "first_last"]
Rule = Named | tuple[tuple[str, str], ...]


def named(word: str) -> Named:
    """A rule by its name. InputError where there is none of that name."""
    for name in get_args(Named):
        if word == name:
            return name
    raise UnknownName(f"'{word}' is not a choice of pairs; choose one of {', '.join(get_args(Named))}.")


def wanted(labels: Sequence[str], rule: Rule) -> list[tuple[int, int]]:
    """Index pairs (earlier, later) of a site's periods, by a rule or by the pairs that are named."""
    places = range(len(labels))
    match rule:
        case "all":
            return list(combinations(places, 2))
        case "consecutive":
            return list(pairwise(places))
        case "first_last":
            return [(0, len(labels) - 1)] if len(labels) > 1 else []
        case named:
            place = {label: i for i, label in enumerate(labels)}
            chosen = [(place[a], place[b]) for a, b in named if a in place and b in place]
            return sorted((min(pair), max(pair)) for pair in chosen)
