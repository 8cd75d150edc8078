"""What the numbers of a file seem to be: reflectance as it is, or by which scale and offset."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from minebench.errors import InputError
from pipeline.sources.local import image_cubes, own_numbers

SIDE = 256
"""Pixels a side, at most, that are looked at."""
SEVERAL = 30.0
"""Times by which the brightest of two images of a place differ at most: snow, and dark forest in shadow."""
CORNER = 32
"""The same of each corner."""
EMPTY = 0.001
"""Share of pixels of 0 above which they seem to stand for no data."""
AT_MOST = 2.0
"""A reflectance above which numbers are no reflectance from 0 to 1; bright snow and glint go above 1."""
LOWEST = -0.5
TEN_THOUSANDTHS = (100.0, 2e4)
"""What the highest numbers are where 10,000 stands for a reflectance of 1."""


@dataclass(frozen=True)
class Scale:
    """Number x scale + offset is reflectance; `about` says why that is thought."""

    scale: float
    offset: float
    about: str

    @property
    def words(self) -> str:
        """The factors, and why."""
        offset = f" {self.offset:+g}" if self.offset else ""
        return f"number x {self.scale:g}{offset} is reflectance ({self.about})"


@dataclass(frozen=True)
class Numbers:
    """What the numbers of one file are. `bright` is the 99th percentile of the brightest of its bands as
    stored, NaN where the sample has no data; `has_zeros` says that many are 0 and nothing says that 0 is no
    data."""

    dtype: str
    scale: Scale | None
    bright: float
    has_zeros: bool = False

    @property
    def factors(self) -> tuple[float, float] | None:
        """Scale and offset; None where numbers are taken as they are."""
        return (self.scale.scale, self.scale.offset) if self.scale else None


def of_file(file: DatasetReader, path: str, indexes: Sequence[int], known: Scale | None = None) -> Numbers:
    """What the numbers of a file's bands are; `known` is the scale of its product. InputError where nothing
    tells."""
    index = indexes[0]
    dtype = str(file.dtypes[index - 1])
    samples = [_sample(file, one) for one in indexes]
    if dtype not in own_numbers.READY and file.nodata is None:
        _check_corners(file, index, path)
    found = np.concatenate(samples)
    # Of the brightest band: in the blue a forest is darker than in the near infrared by much.
    bright = max((float(np.percentile(own, 99)) for own in samples if own.size), default=math.nan)
    is_ready = dtype in own_numbers.READY
    has_zeros = dtype == "uint16" and file.nodata is None and bool(found.size and (found == 0).mean() > EMPTY)
    own = file.scales[index - 1], file.offsets[index - 1]
    if known is not None:
        return Numbers(dtype, known, bright, has_zeros)
    # As is, uint16 is reflectance x 10000.
    if own != (1.0, 0.0) and own[0] > 0 and not (is_ready and own == (1 / own_numbers.A_UNIT, 0.0)):
        scale = Scale(*own, "the files' own: number x scale + offset is reflectance")
        if bright * own[0] + own[1] > AT_MOST:
            raise InputError(
                f"{path} says that number x {own[0]:g} + {own[1]:g} is what it means, and numbers go up to "
                f"{bright:g}: that is no reflectance from 0 to 1. "
                f"{own_numbers.how_to_convert(dtype, 0, bright)}."
            )
        return Numbers(dtype, scale, bright, has_zeros)
    if is_ready:
        return Numbers(dtype, None, bright, has_zeros)
    return Numbers(dtype, of_sample(found, dtype, path, file.nodata is not None), bright)


def of_sample(found: NDArray[np.float64], dtype: str, path: str, has_nodata: bool) -> Scale | None:
    """The scale of numbers of another type than uint8 and uint16; None of a sample without data. InputError
    where nothing tells what they are."""
    if not found.size:
        return None
    if not has_nodata:
        _check_missing(found, path)
    low, high = (float(value) for value in np.percentile(found, [1, 99]))
    if dtype.startswith("float") and low > LOWEST and high <= AT_MOST:
        return Scale(1, 0, "a guess: the files' numbers are reflectance from 0 to 1")
    if low > LOWEST * own_numbers.A_UNIT and TEN_THOUSANDTHS[0] < high <= TEN_THOUSANDTHS[1]:
        return Scale(1 / own_numbers.A_UNIT, 0, "a guess: the files' numbers are reflectance x 10000")
    raise InputError(
        f"{path} is {dtype}, with numbers from {low:.4g} to {high:.4g}, which are neither reflectance nor "
        f"reflectance x 10000. {own_numbers.how_to_convert(dtype, low, high)}."
    )


def _check_corners(file: DatasetReader, index: int, path: str) -> None:
    """InputError where a file's corners, which images often do not fill, hold numbers of no data."""
    high, wide = min(file.height, CORNER), min(file.width, CORNER)
    for top, left in product((0, file.height - high), (0, file.width - wide)):
        stored = file.read(index, window=Window(left, top, wide, high)).astype(np.float64)
        _check_missing(stored[np.isfinite(stored)], path)


def _check_missing(found: NDArray[np.float64], path: str) -> None:
    """InputError where numbers of a file that names no nodata value seem to be one."""
    if found.size and (least := found.min()) <= own_numbers.MISSING:
        raise InputError(
            f"{path} has pixels of {least:g}, which seem to have no data, and does not say so: "
            f"{_how_to_mark(path, least)}."
        )


def _how_to_mark(path: str, number: float) -> str:
    """How to make a file of a user's say that a number is no data: formats differ in where they keep it."""
    name = path.lower()
    if image_cubes.is_cube(Path(path)):
        kind = "zarr" if name.endswith(".zarr") else "netcdf"
        marked = f"cube[layer].attrs['_FillValue'] = cube[layer].dtype.type({number:g})"
        return (
            f"write it anew with xarray: cube = xarray.open_dataset('{Path(path).name}', "
            f"mask_and_scale=False); {marked} for each of its layers; cube.to_{kind}(...)"
        )
    if name.endswith(".jp2") or ".zip/" in name:
        # GDAL would write the number into a file beside it, and nothing into a zip.
        return f"make GeoTIFFs: gdal_translate -a_nodata {number:g} IN OUT.tif for each"
    return f"rio edit-info --nodata={number:g} FILE for each"


def of_all(numbers: Mapping[str, Numbers], folder: str) -> Scale | None:
    """The scale of all files, by their names. InputError where they are of several scales."""
    known = {name: one for name, one in numbers.items() if one.bright == one.bright}
    if not known:
        raise InputError(
            f"--images: no file of {folder} has data where it was looked at: name another folder."
        )
    scaled = next((one.scale for one in known.values() if one.scale), None)
    if scaled and (scaled.scale, scaled.offset) == (1 / own_numbers.A_UNIT, 0):
        # What uint16 is as it is: exports write int16 for dates with negative numbers.
        known = {
            name: replace(one, scale=one.scale or scaled) if one.dtype == "uint16" else one
            for name, one in known.items()
        }
    first, *others = known
    for other in others:
        one, another = known[first], known[other]
        # As they are, 8 bits are a picture and 16 are reflectance.
        if one.factors != another.factors or (one.scale is None and one.dtype != another.dtype):
            raise _differ(folder, known, first, other)
    return known[first].scale


def doubts(numbers: Mapping[str, tuple[str, Numbers]]) -> list[str]:
    """Return sentences on dates whose numbers seem to be of another scale than those of others; `numbers` has
    the date of each file. The brightest band of a date counts."""
    by_date: dict[str, float] = {}
    for date, one in numbers.values():
        if one.bright > 0:
            by_date[date] = max(one.bright, by_date.get(date, 0.0))
    if not by_date:
        return []
    dark, bright = (pick(by_date, key=lambda date: by_date[date]) for pick in (min, max))
    if by_date[bright] <= SEVERAL * by_date[dark]:
        return []
    return [
        f"the numbers of {dark} (up to {by_date[dark]:.4g}) and of {bright} (up to {by_date[bright]:.4g}) "
        "seem to be of several scales; they are taken as of one"
    ]


def _differ(folder: str, numbers: Mapping[str, Numbers], one: str, other: str) -> InputError:
    def told(name: str) -> str:
        return f"{name} ({numbers[name].dtype}, up to {numbers[name].bright:.4g})"

    return InputError(
        f"--images: the numbers of {folder}/{told(one)} and {told(other)} are not of one scale: convert one "
        "of them with gdal_translate, or move them to folders of their own."
    )


def _sample(file: DatasetReader, index: int) -> NDArray[np.float64]:
    """Numbers of a band's pixels with data: of those in its middle, else of some of all."""
    high, wide = min(file.height, SIDE), min(file.width, SIDE)
    middle = Window((file.width - wide) // 2, (file.height - high) // 2, wide, high)
    stored = file.read(index, window=middle, masked=True).compressed()
    if not stored.size:
        stored = file.read(index, out_shape=(high, wide), masked=True).compressed()
    numbers = stored.astype(np.float64)
    return np.asarray(numbers[np.isfinite(numbers)])
