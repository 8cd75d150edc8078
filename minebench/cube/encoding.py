"""Encoding of a cube's pixels: name of the array, dtype, scale and nodata.

In memory 0 is nodata for every sensor: int8 is held as uint8, 128 higher. Pictures are the exception, because
0 is black: there `clear` or alpha says where there is data.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ZERO = 128
"""Value in memory (uint8) of a stored int8 0."""


@dataclass(frozen=True)
class Encoding:
    """Encoding of one kind of pixels.

    Attributes
    ----------
    kind
        Kind of pixels; also the name of the cube's array and of the STAC assets.
    dtype, held
        dtype in cubes and GeoTIFFs, and in memory.
    nodata
        Nodata value in cubes and GeoTIFFs; None if a mask says where there is no data.
    full_scale
        Upper end of histograms, in values in memory.
    title
        Title in catalogs.
    scale
        Factor from stored to physical values; None if stored values have no unit.
    lowest
        Stored value of a 0 in memory.
    is_averaged
        Whether overviews may average values.
    attributes
        Attributes of the cube's array.
    """

    kind: str
    dtype: str
    held: str
    nodata: int | None
    full_scale: int
    title: str
    scale: float | None = None
    lowest: int = 0
    is_averaged: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes per value in a cube."""
        return np.dtype(self.dtype).itemsize

    @property
    def is_picture(self) -> bool:
        """Whether 0 is a colour, black, so that a mask and not a value marks nodata."""
        return self.nodata is None

    @property
    def roles(self) -> list[str]:
        """Roles of STAC assets of these pixels."""
        return ["data", "reflectance"] if self.kind == "reflectance" else ["data"]


def raised(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return stored int8 pixels as in memory (uint8, 128 higher); pixels of any other dtype unchanged."""
    return pixels.view(np.uint8) ^ np.uint8(ZERO) if pixels.dtype == np.int8 else pixels


def stored(pixels: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return pixels in memory as stored in a cube or GeoTIFF of this dtype, the inverse of `raised`."""
    return (pixels ^ np.uint8(ZERO)).view(np.int8) if dtype == "int8" else pixels


# Google's annual Satellite Embedding (AlphaEarth Foundations, Brown et al. 2025, arXiv 2507.22291): a unit
# vector of 64 components per pixel of 10 m and year, from 2017 on.
#
# Values are stored as in Google's files: k in -127..127 encodes sign(k) (k / 127.5)^2, and -128 is nodata
# ("AlphaEarth Foundations GCS data", Earth Engine's guides). In memory they are 128 higher.


BANDS = tuple(f"A{axis:02d}" for axis in range(64))
SPAN = 127.5
"""Value that would encode a component of 1."""
DECODED = "sign(k) * (k / 127.5) ** 2"
"""Formula to decode a stored value k, for the cube's attributes."""


def decoded(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Return the components of embeddings from stored values (int8, any shape); NaN for nodata (-128)."""
    share = numbers.astype(np.float32) / np.float32(SPAN)
    return np.where(numbers == -ZERO, np.float32(np.nan), np.sign(share) * share**2)


def coded(vectors: NDArray[Any]) -> NDArray[np.int8]:
    """Return components in -1..1 as the nearest stored values (int8), NaN as -128; inverse of `decoded`."""
    components = np.nan_to_num(vectors)
    numbers = np.rint(np.sign(components) * np.sqrt(np.abs(components)) * SPAN).clip(-127, 127)
    return np.where(np.isnan(vectors), -ZERO, numbers).astype(np.int8)


REFLECTANCE = Encoding(
    "reflectance", "uint16", "uint16", 0, 10_240, "Reflectance", scale=0.0001,
    attributes={"long_name": "surface reflectance"},
)  # fmt: skip
PICTURE = Encoding("image", "uint8", "uint8", None, 256, "Image", attributes={"long_name": "digital number"})
EMBEDDING = Encoding(
    "embedding", "int8", "uint8", -ZERO, 256, "Embedding", lowest=-ZERO, is_averaged=False,
    attributes={"long_name": "embedding, vectors of length 1", "decoded": DECODED},
)  # fmt: skip
ENCODINGS = {encoding.dtype: encoding for encoding in (REFLECTANCE, PICTURE, EMBEDDING)}
"""Encodings by the recipe's `sensor.dtype`."""
