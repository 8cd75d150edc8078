"""Tiles: windows of a site's grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
