"""What the numbers of a user's own files mean: reflectance by scale and offset, clear pixels by a mask.

The cube holds reflectance x 10000 as uint16, 0 where there is no data. A reflectance of 0 or less becomes 1,
and one above 6.5535 becomes 65535.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from minebench.errors import InputError
from minebench.text import by_another_case
from pipeline.core.config import Part
from pipeline.sensors import classes, sentinel2
from pipeline.sensors.profile import Mask, Sensor

log = logging.getLogger(__name__)
A_UNIT = 10_000
"""The cube's number for a reflectance of 1."""
MOST = 65_535
MISSING, IMPOSSIBLE = -999, -0.5
"""A number, and the reflectance that it stands for, below which pixels have no data."""
READY = ("uint8", "uint16")
"""Types that are taken as they are."""


class MaskRule(Part):
    """A mask beside the bands: `band` is the word in its file's name, or its number in the file. Ground is
    clear where the mask has one of the numbers `clear`, or a number lower than `below`, such as a probability
    of cloud. Without either, the numbers are the sensor's own classes, such as SCL's."""

    band: int | str
    clear: tuple[int, ...] | None = Field(default=None, min_length=1)
    below: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check(self) -> "MaskRule":
        if isinstance(self.band, int) and self.band < 1:
            raise ValueError("mask.band counts from 1")
        if self.clear is not None and self.below is not None:
            raise ValueError("mask: give either clear or below")
        return self

    @property
    def is_own(self) -> bool:
        """Whether the recipe says which numbers are clear."""
        return self.clear is not None or self.below is not None

    def is_clear(self, stored: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return where the numbers of a mask, NaN where there are none, are of clear ground."""
        if self.below is not None:
            return np.asarray(stored < np.float32(self.below))
        return np.isin(stored, self.clear or ())

    def takes(self, number: float | None) -> bool:
        """Return whether a file's nodata value is a number of clear ground."""
        return number is not None and bool(self.is_clear(np.array([number], np.float32))[0])


def own_mask(pixel_m: float) -> Mask:
    """A mask of SCL's numbers, or of what `clear_or_not` makes of others."""
    return Mask("MASK", pixel_m, "uint8", sentinel2.scene_classes)


def takes_classes(mask: Mask | None) -> bool:
    """Whether a mask is kept in the pipeline's own numbers, so that `clear_or_not` can make it."""
    return mask is not None and mask.decode is sentinel2.scene_classes


def reflectance(numbers: NDArray[np.float32], href: str, scale: float, offset: float) -> NDArray[np.uint16]:
    """Numbers (band, y, x), NaN where there is no data, as the cube's: number x scale + offset is
    reflectance. InputError where numbers such as -9999 seem to have no data."""
    has_data = np.isfinite(numbers)
    missing = has_data & (numbers <= MISSING) & (numbers * scale + offset < IMPOSSIBLE)
    if missing.any():
        least = numbers[missing].min()
        raise InputError(
            f"{href} has pixels of {least:g}, which are no reflectance and are not marked as no data: name "
            "the number that stands for no data in source.nodata, of a cube in the layer's _FillValue, of a "
            "STAC item in its band's nodata."
        )
    found = np.rint((np.where(has_data, numbers, 0) * scale + offset) * A_UNIT)
    if outside := int(((found < 0) | (found > MOST))[has_data].sum()):
        log.warning(
            "%s: %d of %d pixels lie below a reflectance of 0 or above %g; they are set to that",
            href, outside, int(has_data.sum()), MOST / A_UNIT,
        )  # fmt: skip
    return np.where(has_data, np.clip(found, 1, MOST), 0).astype(np.uint16)


def clear_or_not(mask: NDArray[np.float32], image: NDArray[np.float32], rule: MaskRule) -> NDArray[np.uint8]:
    """Classes (y, x): clear where the rule says so of the mask and the image has data, else cloud."""
    found = np.where(rule.is_clear(mask), classes.CLEAR, classes.CLOUD)
    return np.where(np.isfinite(mask) & np.isfinite(image), found, classes.NODATA).astype(np.uint8)


def as_stored(mask: NDArray[np.float32], href: str, kept_as: Mask) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The mask (y, x) in its own numbers, 0 where it has none. InputError where they are no classes."""
    found = np.nan_to_num(mask, nan=0)
    if takes_classes(kept_as) and (odd := found[(found < 0) | (found > classes.SNOW)]).size:
        raise InputError(
            f"source.mask: {href} has {odd[0]:g}, which is no scene class of Sentinel-2 (0 to 11): "
            "name the numbers of clear ground in source.mask.clear."
        )
    return found.astype(kept_as.dtype)


def check_bands(sensor: Sensor, bands: Mapping[str, Any]) -> None:
    """InputError where the recipe's source does not say what one of the sensor's bands is."""
    if missing := [band for band in sensor.bands if band not in bands]:
        mend = by_another_case(missing[0], bands)
        raise InputError(f"source.bands does not say which band of the files is {missing[0]}{mend}.")


def check_type(path: str, dtype: str, held: str | None, has_scale: bool) -> None:
    """InputError where a file's numbers do not fit into the cube's type as they are."""
    if has_scale and not dtype.startswith("complex"):
        return
    if dtype not in READY:
        raise InputError(
            f"{path} is {dtype}; images may be uint8 or uint16. {how_to_convert(dtype)}, or name "
            "source.scale and source.offset: number x scale + offset is then reflectance."
        )
    if held == "uint8" and dtype != held:
        raise InputError(f"{path} is {dtype} and sensor.dtype uint8: set sensor.dtype to uint16.")


def how_to_convert(dtype: str, least: float = 0, most: float | None = None) -> str:
    """The command that makes uint16 of another type."""
    if most is None:
        most = 1 if dtype.startswith("float") else A_UNIT
    scale = f"{least:g} {most:g} 0 {A_UNIT}"
    return f"Convert it: gdal_translate -ot UInt16 -scale {scale} -a_nodata 0 IN.tif OUT.tif"
