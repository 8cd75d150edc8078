"""Count pixels that lie in several tiles once, in the first tile that contains them.

Tiles overlap where the last tile of a row is moved back to end at the site's edge, and where the stride is
smaller than the tile.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from minebench.index import Tile


def overlapped(tiles: Sequence[Tile]) -> dict[str, list[Tile]]:
    """Return the earlier tiles of the same site that overlap a tile, by its tile_id, if there are any."""
    by_site: dict[str, list[Tile]] = {}
    for tile in tiles:
        by_site.setdefault(tile.site_id, []).append(tile)
    earlier: dict[str, list[Tile]] = {}
    for members in by_site.values():
        y0, x0, height, width = np.array([(t.y0, t.x0, t.height, t.width) for t in members]).T
        y1, x1 = y0 + height, x0 + width
        for position, tile in enumerate(members[1:], 1):
            before = slice(0, position)
            overlaps = (y0[before] < y1[position]) & (y1[before] > y0[position])
            overlaps &= (x0[before] < x1[position]) & (x1[before] > x0[position])
            if overlaps.any():
                earlier[tile.tile_id] = [members[i] for i in np.flatnonzero(overlaps)]
    return earlier


def counted_before(tile: Tile, earlier: Iterable[Tile]) -> NDArray[np.bool_]:
    """Return which pixels (y, x) of a tile are in earlier tiles; False in its padding."""
    counted = np.zeros(tile.shape, bool)
    for other in earlier:
        rows = slice(max(other.y0 - tile.y0, 0), max(other.y0 + other.height - tile.y0, 0))
        columns = slice(max(other.x0 - tile.x0, 0), max(other.x0 + other.width - tile.x0, 0))
        counted[: tile.height, : tile.width][rows, columns] = True
    return counted
