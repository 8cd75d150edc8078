"""Reading one band of a raster file onto a grid."""

import math
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from models.errors import WorkError
from pipeline import grid as grids

GDAL = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": 64}


def read(href: str, index: int, grid: GeoBox, resampling: Resampling, nodata: float | None) -> NDArray[Any]:
    """(y, x) in the file's dtype, nodata 0. A valid 0 becomes 1, so that 0 says one thing only.

    `nodata` overrides the file's own value. WorkError where the file cannot be read.
    """
    try:
        with rasterio.Env(**GDAL), rasterio.open(href) as file:
            missing = file.nodata if nodata is None else nodata
            if grids.aligned(grid, grid_of(file)):
                return _copied(file, index, grid, missing)
            return _warped(file, index, grid, resampling, missing)
    except RasterioError as error:
        raise WorkError(f"{href} cannot be read: {str(error).rstrip('.')}.") from None


def grid_of(file: DatasetReader) -> GeoBox:
    """An open file's grid."""
    return GeoBox(file.shape, file.transform, file.crs.to_wkt() if file.crs else None)


def _copied(file: DatasetReader, index: int, grid: GeoBox, nodata: float | None) -> NDArray[Any]:
    """Pixels that lie on the grid already; 0 beyond the file's edge."""
    column, row = (round(value) for value in ~file.transform @ (grid.transform.c, grid.transform.f))
    top, left = max(0, row), max(0, column)
    bottom, right = min(file.height, row + grid.height), min(file.width, column + grid.width)
    if bottom <= top or right <= left:
        return np.zeros(grid.shape, file.dtypes[index - 1])
    found = file.read(index, window=Window(left, top, right - left, bottom - top))
    if nodata is None:
        found[found == 0] = 1
    elif nodata != 0 and not math.isnan(nodata):
        found = np.where(found == nodata, 0, np.maximum(found, 1)).astype(found.dtype)
    if found.shape == grid.shape:
        return found
    pixels = np.zeros(grid.shape, found.dtype)
    pixels[top - row : bottom - row, left - column : right - column] = found
    return pixels


def _warped(
    file: DatasetReader, index: int, grid: GeoBox, resampling: Resampling, nodata: float | None
) -> NDArray[Any]:
    """Resampled once by GDAL, which leaves nodata out of the weights and widens its kernel when
    going coarser."""
    with WarpedVRT(
        file,
        crs=str(grid.crs),
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=resampling,
        src_nodata=nodata,
        nodata=0,
        add_alpha=False,
    ) as view:
        return view.read(index)
