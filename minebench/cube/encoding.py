"""How a cube's pixels are encoded: which array holds them, their type, scale and nodata.

In memory 0 is no data whatever the encoding, so that one rule holds for every sensor: signed bytes are 128
higher there (uint8), and pictures, whose 0 is black, say by `clear` or alpha where there is data.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ZERO = 128
"""What a signed 0 is in memory."""


@dataclass(frozen=True)
class Encoding:
    """How pixels of one kind are encoded.

    Attributes
    ----------
    kind
        What they are, and the name of the cube's array and of its STAC assets.
    dtype, held
        Their type in a cube and in GeoTIFFs, and in memory, where 0 is no data.
    nodata
        The number that is no data in a cube and in GeoTIFFs; None where a mask says so.
    scale
        Physical value of a step of one; None where numbers are used as they are.
    full_scale
        Upper end of histograms, as held in memory.
    lowest
        What a held 0 is in a cube.
    is_averaged
        Whether the mean of two pixels' numbers means anything, as for coarser overviews.
    title, attributes
        What a catalog calls them, and attributes of the array.
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
        """Bytes of a number in a cube."""
        return np.dtype(self.dtype).itemsize

    @property
    def is_picture(self) -> bool:
        """Whether black is a colour: no data is a mask then, and no number."""
        return self.nodata is None

    @property
    def roles(self) -> list[str]:
        """Roles of a STAC asset of these pixels."""
        return ["data", "reflectance"] if self.kind == "reflectance" else ["data"]


def raised(pixels: NDArray[Any]) -> NDArray[Any]:
    """int8 as it is held in memory, uint8; any other type as it is."""
    return pixels.view(np.uint8) ^ np.uint8(ZERO) if pixels.dtype == np.int8 else pixels


def stored(pixels: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Pixels in memory as a cube or a GeoTIFF of this type holds them: what `raised` gave, as int8 again."""
    return (pixels ^ np.uint8(ZERO)).view(np.int8) if dtype == "int8" else pixels


# Google's annual Satellite Embedding (AlphaEarth Foundations, Brown et al. 2025, arXiv 2507.22291): a vector
# of 64 numbers and length 1 for every pixel of 10 m and every year from 2017 on.
#
# Numbers are kept as Google's own files have them: k in -127..127 stands for sign(k) (k / 127.5)^2, and -128
# for no data ("AlphaEarth Foundations GCS data", Earth Engine's guides). In memory they are 128 higher
# (`minebench.cube.encoding`).


BANDS = tuple(f"A{axis:02d}" for axis in range(64))
SPAN = 127.5
"""The number of a component of 1."""
DECODED = "sign(k) * (k / 127.5) ** 2"
"""What a number k of the cube stands for, in words of most languages."""


def decoded(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Components of vectors from a cube's numbers (int8, any shape); NaN where there is no data (-128)."""
    share = numbers.astype(np.float32) / np.float32(SPAN)
    return np.where(numbers == -ZERO, np.float32(np.nan), np.sign(share) * share**2)


def coded(vectors: NDArray[Any]) -> NDArray[np.int8]:
    """Components in -1..1 as the cube's numbers; NaN becomes -128. The nearest that there is: what `decoded`
    gave comes back as it was."""
    known = np.nan_to_num(vectors)
    numbers = np.rint(np.sign(known) * np.sqrt(np.abs(known)) * SPAN).clip(-127, 127)
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
"""By the type that a recipe's `sensor.dtype` names."""
