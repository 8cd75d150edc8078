"""Read pixels of a GeoTIFF as they are stored: no value is masked, scaled or resampled.

Rows of the arrays go from north to south. A file whose rows go from south to north ("bottom-up": `e` of its
transform is positive) is flipped.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader
from rasterio.windows import Window

from minebench.errors import Unusable
from pipeline.geo import gdal, raster
from pipeline.geo import grid as grids

if TYPE_CHECKING:
    from pipeline.geo.remote import Opener, Signer

HEAD_BYTES = 2**17
"""Bytes read at opening. Offsets and sizes of the blocks of 64 bands, 8 x 8 per band, and of their overviews
take about 80 KB."""
Blocks = tuple[tuple[int, int], ...]
"""Offset and size in the file, bytes, of each of several blocks."""


def north_up(grid: GeoBox) -> GeoBox:
    """Return the grid of the same pixels with rows from north to south."""
    return grid.flipy() if grid.affine.e > 0 else grid


def grid_of(href: str, signed: "Signer | None" = None, parallel: int = 20) -> GeoBox:
    """Return a file's grid, north up. WorkError if the file cannot be read."""
    with raster.opened_by(href, _opener(href, signed, parallel)) as file:
        return north_up(raster.grid_of(file))


def read(
    href: str, indexes: Sequence[int], area: GeoBox, signed: "Signer | None" = None, parallel: int = 20
) -> NDArray[Any]:
    """Return pixels (band, y, x) of a part of a file's grid, north up, in the file's dtype.

    Parameters
    ----------
    href
        Path or http(s) address.
    indexes
        Numbers of the bands, from 1.
    area
        The part of the file's grid (north up). Unusable if the file does not contain it.
    signed, parallel
        What signs the requests for a web address, and most of them at a time.

    Where each band has blocks of its own, they are fetched and decoded band by band, to use little memory.
    """
    opener = _opener(href, signed, parallel)
    with raster.opened_by(href, opener) as file:
        rows, columns = _window(file, area, href)
        pixels = np.empty((len(indexes), *area.shape), file.dtypes[0])
        with gdal.working():
            groups = _by_blocks(file, indexes, rows, columns) if opener else {(): list(range(len(indexes)))}
        for blocks, positions in groups.items():
            if opener:
                opener.forget()
                opener.fetch_ahead(blocks)
            with gdal.working():
                bands = [indexes[position] for position in positions]
                pixels[positions] = file.read(bands, window=Window.from_slices(rows, columns))
        return pixels[:, ::-1] if file.transform.e > 0 else pixels


def _opener(href: str, signed: "Signer | None", parallel: int) -> "Opener | None":
    opener = raster.opener_of(href, signed, parallel)
    if opener is not None:
        opener.head_bytes = HEAD_BYTES
    return opener


def _window(file: DatasetReader, area: GeoBox, href: str) -> tuple[slice, slice]:
    """Return the rows and columns of an area in the file's own order of rows."""
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
    """Group bands that share their blocks: the blocks to the bands' positions in `indexes`."""
    positions: dict[Blocks, list[int]] = {}
    for position, index in enumerate(indexes):
        height, width = file.block_shapes[index - 1]
        numbers = (
            range(side.start // size, (side.stop - 1) // size + 1)
            for side, size in ((rows, height), (columns, width))
        )
        positions.setdefault(tuple(raster.block_ranges(file, index, *numbers)), []).append(position)
    return positions
