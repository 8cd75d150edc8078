"""Ground that lies in several tiles, counted once: a pixel is of the first tile that has it.

Tiles overlap where the last of a row is moved back to end at the site's edge, or where the stride is below
the size.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.tiles import Tile


def overlapped(tiles: Sequence[Tile]) -> dict[str, list[Tile]]:
    """Return, by tile_id, the tiles of its site that come before it and overlap it; nothing of others."""
    by_site: dict[str, list[Tile]] = {}
    for tile in tiles:
        by_site.setdefault(tile.site_id, []).append(tile)
    found: dict[str, list[Tile]] = {}
    for members in by_site.values():
        y0, x0, height, width = np.array([(t.y0, t.x0, t.height, t.width) for t in members]).T
        y1, x1 = y0 + height, x0 + width
        for place, tile in enumerate(members[1:], 1):
            before = slice(0, place)
            meets = (y0[before] < y1[place]) & (y1[before] > y0[place])
            meets &= (x0[before] < x1[place]) & (x1[before] > x0[place])
            if meets.any():
                found[tile.tile_id] = [members[i] for i in np.flatnonzero(meets)]
    return found


def counted_before(tile: Tile, earlier: Iterable[Tile]) -> NDArray[np.bool_]:
    """Return which pixels (y, x) of a tile, padding included, the earlier tiles have."""
    seen = np.zeros(tile.shape, bool)
    for other in earlier:
        rows = slice(max(other.y0 - tile.y0, 0), max(other.y0 + other.height - tile.y0, 0))
        columns = slice(max(other.x0 - tile.x0, 0), max(other.x0 + other.width - tile.x0, 0))
        seen[: tile.height, : tile.width][rows, columns] = True
    return seen
