"""A sensor as data: its bands and their pixel sizes, its mask, how numbers become reflectance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from minebench.cube.encoding import ENCODINGS, Encoding
from minebench.text import by_another_case
from pipeline.core.config import Part

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Mask:
    """A sensor's own mask. `decode` turns its stored numbers (y, x) into those of `sensors.classes`;
    `dtype` and `pixel_m` (side of its pixel, metres) are as stored; `asset` is its key in STAC items."""

    name: str
    pixel_m: float
    dtype: str
    decode: Callable[[Pixels], NDArray[np.uint8]]
    asset: str = ""


def _as_stored(pixels: Pixels, _offset: int) -> Pixels:
    return pixels


@dataclass(frozen=True)
class Profile:
    """What the pipeline knows of a sensor.

    `pixel_m` is the side of each band's own pixel, metres. `calibrate` turns digital numbers into the
    cube's (uint16, scale 1e-4, nodata 0), less a scene's `offset`. Pixel corners lie on multiples of the
    pixel, moved by `corner_m`. `assets` and `common` are the bands' keys in STAC items and their common
    names. `stretch` are the percentiles of each shown band that become black and white; none for pixels
    that are ready to be shown.
    """

    name: str
    title: str
    pixel_m: Mapping[str, float] = field(default_factory=dict)
    mask: Mask | None = None
    calibrate: Callable[[Pixels, int], Pixels] = _as_stored
    has_offset: bool = False
    """Whether scenes may carry the offset of `pipeline.sensors.boa_offset`."""
    is_reflectance: bool = False
    """Whether numbers are reflectance x 10000, so that some are impossible."""
    corner_m: float = 0.0
    assets: Mapping[str, str] = field(default_factory=dict)
    common: Mapping[str, str] = field(default_factory=dict)
    stretch: tuple[float, float] | None = (1, 99)
    level: str = ""
    version: int = 1
    """Of `calibrate` and of the mask's `decode`: raised when the same numbers come out otherwise. Pixels
    are then fetched again, the only reason for it that lies in the software."""
    revisit_days: float | None = None
    """How often it passes a place; None for images taken on occasion."""
    dtype: str | None = None
    """The only type of a cube that its numbers fit; None where a recipe chooses."""
    yearly: bool = False
    """An image is of a whole year, and made by its provider: it has no season, no clouds and no shift."""

    def finer_share(self, band: str, resolution: float) -> float:
        """How many pixels of a band are stored for one pixel of the cube, at most 1."""
        return min(1.0, (resolution / self.pixel_m.get(band, resolution)) ** 2)


class Sensor(Part):
    """What a pixel holds. `resolution` in metres; `dtype` uint8 makes the cube's array `image`, int8
    `embedding`."""

    profile: str | None = None
    """Which sensor it is, such as sentinel-2-l2a or landsat-c2-l2; default: what the source has."""
    bands: tuple[str, ...] = Field(min_length=1)
    resolution: float = Field(gt=0)
    dtype: Literal["uint16", "uint8", "int8"] = "uint16"
    rgb: tuple[str, str, str]
    """Bands shown as red, green and blue."""
    snap: float | None = None
    """AOI corners lie on multiples of this, metres; the sensor's coarsest band. Default: resolution."""

    @model_validator(mode="after")
    def _check(self) -> "Sensor":
        if missing := set(self.rgb) - set(self.bands):
            names = (name + by_another_case(name, self.bands) for name in sorted(missing))
            raise ValueError(f"rgb names {', '.join(names)}, which bands does not list")
        if len(set(self.bands)) != len(self.bands):
            raise ValueError("bands lists a band twice")
        if self.snap is not None and (self.snap / self.resolution) % 1:
            raise ValueError("snap must be a multiple of resolution")
        return self

    @property
    def encoding(self) -> Encoding:
        """How a cube holds the pixels: their kind, type, scale and nodata."""
        return ENCODINGS[self.dtype]

    @property
    def step(self) -> float:
        """The raster that AOI corners lie on, metres."""
        return self.snap or self.resolution

    def asked(self) -> dict[str, Any]:
        """What of the sensor decides which pixels are read, for fingerprints. A profile counts where
        the recipe names one."""
        kept = self.model_dump(exclude={"rgb", "profile"} if self.profile is None else {"rgb"}, mode="json")
        return dict(kept)
