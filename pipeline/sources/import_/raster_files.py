"""Published rasters, opened as the format that their suffix says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from pipeline.core.errors import InputError
from pipeline.geo import gdal


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster. InputError where it, or a pixel that is read meanwhile, cannot be read."""
    try:
        with rasterio.open(path, driver=gdal.driver_of(path)) as file:
            yield file
    except (RasterioError, gdal.FAILURE) as error:
        raise InputError(f"{path} cannot be read: {gdal.said(error)}.") from None
