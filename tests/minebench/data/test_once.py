"""Ground that lies in several tiles counts once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minebench.data import once
from minebench.index import Tile, starts

SIZES = st.integers(4, 40)


def tiles_of(site: str, shape: tuple[int, int], size: int, stride: int) -> list[Tile]:
    """A site's tiles as the stage `tile` lays them out."""
    rows, columns = (starts(side, size, stride) for side in shape)
    height, width = (min(size, side) for side in shape)
    return [
        Tile(f"{site}_{y0}_{x0}", site, "test", y0, x0, height, width, size - height, size - width)
        for y0 in rows
        for x0 in columns
    ]


@given(st.tuples(SIZES, SIZES), st.integers(3, 16), st.integers(2, 16))
def test_every_pixel_counts_for_just_one_tile(shape: tuple[int, int], size: int, stride: int) -> None:
    tiles = [*tiles_of("a", shape, size, stride), *tiles_of("b", shape, size, stride)]
    overlapped = once.overlapped(tiles)
    for site in ("a", "b"):
        times, covered = np.zeros(shape, int), np.zeros(shape, bool)
        for tile in (tile for tile in tiles if tile.site_id == site):
            own = ~once.counted_before(tile, overlapped.get(tile.tile_id, ()))
            times[tile.window] += own[: tile.height, : tile.width]
            covered[tile.window] = True
        assert (times == covered).all()


def test_tiles_that_only_touch_do_not_overlap() -> None:
    assert once.overlapped(tiles_of("a", (64, 96), 32, 32)) == {}
