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
        column, row = (round(v) for v in ~native.transform @ (grid.transform.c, grid.transform.f))
        box = (row, column, row + grid.height, column + grid.width)
    else:
        outline = grid.extent.to_crs(native.crs, resolution=grid.resolution.x * 16).boundingbox
        corners = [~native.transform @ (x, y) for x in outline.range_x for y in outline.range_y]
        columns, rows = zip(*corners, strict=True)
        margin = 3 + 2 * math.ceil(max((max(columns) - min(columns)) / grid.width, 1))
        box = (math.floor(min(rows)) - margin, math.floor(min(columns)) - margin,
               math.ceil(max(rows)) + margin, math.ceil(max(columns)) + margin)  # fmt: skip
    top, left = max(0, box[0]), max(0, box[1])
    bottom, right = min(native.height, box[2]), min(native.width, box[3])
    return native[top:bottom, left:right] if bottom > top and right > left else None


def placed(found: NDArray[Any], area: GeoBox, grid: GeoBox, resampling: Resampling) -> NDArray[Any]:
    """(band, y, x) pixels of `area` on `grid`, nodata 0: copied where the pixels are the same,
    else resampled once."""
    if not grids.aligned(grid, area):
        return raster.resampled(found, area, grid, resampling)
    column, row = (round(v) for v in ~grid.transform @ (area.transform.c, area.transform.f))
    result = np.zeros((len(found), *grid.shape), found.dtype)
    result[:, row : row + area.height, column : column + area.width] = found
    return result
