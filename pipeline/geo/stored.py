"""Pixels of a GeoTIFF as they are stored: no value is taken for no data, and none is changed.

Rows of an array go from north to south. A file whose rows go from south to north ("bottom-up": its pixels are
of positive height) is turned over.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader
from rasterio.windows import Window

from pipeline.core.errors import Unusable
from pipeline.geo import gdal, raster
from pipeline.geo import grid as grids

if TYPE_CHECKING:
    from pipeline.geo.remote import Opener, Signer

HEAD_BYTES = 2**17
"""Read at opening. Offsets and sizes of 64 bands of 8 x 8 blocks and of their overviews are about 80 KB."""
Blocks = tuple[tuple[int, int], ...]
"""Offset and size, bytes, of blocks of a file."""


def north_up(grid: GeoBox) -> GeoBox:
    """Return a grid of the same pixels whose rows go from north to south."""
    return grid.flipy() if grid.affine.e > 0 else grid


def grid_of(href: str, signed: "Signer | None" = None, parallel: int = 20) -> GeoBox:
    """Return a file's grid, north up. WorkError where it cannot be read."""
    with raster.opened_by(href, _opener(href, signed, parallel)) as file:
        return north_up(raster.grid_of(file))


def read(
    href: str, indexes: Sequence[int], area: GeoBox, signed: "Signer | None" = None, parallel: int = 20
) -> NDArray[Any]:
    """Return bands (band, y, x) of a file on a part of its own grid, north up, in the file's dtype.

    `href` is a path or an http(s) address. Of a file whose bands lie apart one band's blocks at a time are
    fetched and decoded, so that a wide one takes little memory. Unusable where `area` is no part of the file.
    """
    opener = _opener(href, signed, parallel)
    with raster.opened_by(href, opener) as file:
        rows, columns = _window(file, area, href)
        pixels = np.empty((len(indexes), *area.shape), file.dtypes[0])
        with gdal.working():
            groups = _by_blocks(file, indexes, rows, columns) if opener else {(): list(range(len(indexes)))}
        for blocks, places in groups.items():
            if opener:
                opener.forget()
                opener.fetch_ahead(blocks)
            with gdal.working():
                bands = [indexes[place] for place in places]
                pixels[places] = file.read(bands, window=Window.from_slices(rows, columns))
        return pixels[:, ::-1] if file.transform.e > 0 else pixels


def _opener(href: str, signed: "Signer | None", parallel: int) -> "Opener | None":
    opener = raster.opener_of(href, signed, parallel)
    if opener is not None:
        opener.head_bytes = HEAD_BYTES
    return opener


def _window(file: DatasetReader, area: GeoBox, href: str) -> tuple[slice, slice]:
    """Rows and columns of an area as the file counts them."""
    whole = north_up(raster.grid_of(file))
    rows, columns = grids.overlap(whole, area) if grids.aligned(area, whole) else (slice(0, 0), slice(0, 0))
    if (rows.stop - rows.start, columns.stop - columns.start) != area.shape:
        raise Unusable(f"{href} does not have the pixels that it is listed with.")
    if file.transform.e > 0:
        rows = slice(whole.height - rows.stop, whole.height - rows.start)
    return rows, columns


def _by_blocks(
    file: DatasetReader, indexes: Sequence[int], rows: slice, columns: slice
) -> dict[Blocks, list[int]]:
    """Places in `indexes` of the bands that lie in the same blocks, by these blocks."""
    found: dict[Blocks, list[int]] = {}
    for place, index in enumerate(indexes):
        high, wide = file.block_shapes[index - 1]
        numbers = (
            range(side.start // size, (side.stop - 1) // size + 1)
            for side, size in ((rows, high), (columns, wide))
        )
        found.setdefault(tuple(raster.block_ranges(file, index, *numbers)), []).append(place)
    return found
