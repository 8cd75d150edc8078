"""What the numbers of a file seem to be: reflectance as it is, or by which scale and offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from pipeline.core.errors import InputError
from pipeline.sources.local import own_numbers

SIDE = 512
"""Pixels a side, at most, that are looked at."""
AT_MOST = 2.0
"""A reflectance above which numbers are no reflectance from 0 to 1; bright snow and glint go above 1."""
LOWEST = -0.5
MISSING = -999
"""Such a number, or a lower one, stands for no data."""
TEN_THOUSANDTHS = (100.0, 2e4)
"""What the highest numbers are where 10,000 stands for a reflectance of 1."""


@dataclass(frozen=True)
class Scale:
    """Number x scale + offset is reflectance; `about` says why that is thought."""

    scale: float
    offset: float
    about: str


def of_file(file: DatasetReader, path: str, index: int) -> Scale | None:
    """The scale of a file's band; None where numbers are taken as they are. InputError where nothing tells
    what they are."""
    dtype = str(file.dtypes[index - 1])
    if dtype in own_numbers.READY:
        return None
    scale, offset = file.scales[index - 1], file.offsets[index - 1]
    if (scale, offset) != (1.0, 0.0) and scale > 0:
        return Scale(scale, offset, "the files' own: number x scale + offset is reflectance")
    found = _sample(file, index)
    if not found.size:
        raise InputError(f"{path} has no data, which would tell what its numbers are: name another folder.")
    if file.nodata is None and found.min() <= MISSING:
        raise InputError(
            f"{path} has pixels of {found.min():g}, which seem to have no data, and does not say so: "
            f"gdal_edit -a_nodata {found.min():g} FILE for each."
        )
    low, high = (float(value) for value in np.percentile(found, [1, 99]))
    if dtype.startswith("float") and low > LOWEST and high <= AT_MOST:
        return Scale(
            1, 0, f"a guess: the files' numbers ({low:.2g} to {high:.2g}) are reflectance from 0 to 1"
        )
    if low > LOWEST * own_numbers.A_UNIT and TEN_THOUSANDTHS[0] < high <= TEN_THOUSANDTHS[1]:
        return Scale(
            1 / own_numbers.A_UNIT,
            0,
            f"a guess: the files' numbers ({low:.0f} to {high:.0f}) are reflectance x 10000",
        )
    raise InputError(
        f"{path} is {dtype}, with numbers from {low:.4g} to {high:.4g}, which are neither reflectance nor "
        f"reflectance x 10000. {own_numbers.how_to_convert(dtype, low, high)}."
    )


def _sample(file: DatasetReader, index: int) -> NDArray[np.float64]:
    """Numbers of some of a band's pixels with data."""
    shape = min(file.height, SIDE), min(file.width, SIDE)
    stored = file.read(index, out_shape=shape, masked=True).compressed().astype(np.float64)
    return np.asarray(stored[np.isfinite(stored)])
