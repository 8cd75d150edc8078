"""Published rasters, opened as the format that their suffix says."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from minebench.errors import InputError
from pipeline.geo import gdal


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster. InputError where it, or a pixel that is read meanwhile, cannot be read."""
    try:
        with _quietly(path) as file:
            yield file
    except (RasterioError, gdal.FAILURE) as error:
        raise InputError(f"{path} cannot be read: {gdal.said(error)}.") from None


def _quietly(path: Path) -> Any:
    """Open a raster without a warning where it has no place: many published tiles have none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver=gdal.driver_of(path))


def seen(path: Path) -> NDArray[np.bool_] | None:
    """Where a raster has data (y, x), by its mask, alpha band or nodata value; None where it has none of
    them."""
    with opened(path) as file:
        if all(MaskFlags.all_valid in flags for flags in file.mask_flag_enums):
            return None
        return np.asarray(file.dataset_mask() > 0)
