"""The part of an image that a grid needs, for sources that deliver arrays and not files."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from pipeline.geo import grid as grids
from pipeline.geo import raster


def covering(native: GeoBox, grid: GeoBox) -> GeoBox | None:
    """The part of an image's own grid that reading `grid` needs: just it where the pixels are the
    same, else with a margin for the interpolation. None where the image does not reach it."""
    if grids.aligned(grid, native):
        rows, columns = grids.overlap(native, grid)
    else:
        assert native.crs is not None  # an image whose pixels are read by place has one
        outline = grid.extent.to_crs(native.crs, resolution=grid.resolution.x * 16).boundingbox
        corners = [native.wld2pix(x, y) for x in outline.range_x for y in outline.range_y]
        xs, ys = zip(*corners, strict=True)
        margin = 3 + 2 * math.ceil(max((max(xs) - min(xs)) / grid.width, 1))
        rows, columns = (
            slice(max(0, math.floor(min(places)) - margin), min(size, math.ceil(max(places)) + margin))
            for places, size in ((ys, native.height), (xs, native.width))
        )
    return native[rows, columns] if all(side.stop > side.start for side in (rows, columns)) else None


def placed(found: NDArray[Any], area: GeoBox, grid: GeoBox, resampling: Resampling) -> NDArray[Any]:
    """(band, y, x) pixels of `area` on `grid`, nodata 0: copied where the pixels are the same,
    else resampled once."""
    if not grids.aligned(grid, area):
        return raster.resampled(found, area, grid, resampling)
    result = np.zeros((len(found), *grid.shape), found.dtype)
    result[:, *grids.overlap(grid, area)] = found
    return result
