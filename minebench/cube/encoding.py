"""How a cube's numbers are held: signed bytes, and vectors of an embedding.

Signed bytes: int8 with nodata -128 in a cube and its GeoTIFFs, uint8 with nodata 0 everywhere else.

In memory and in kept scenes they are 128 higher, so that one rule holds for every sensor: 0 is no data.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ZERO = 128
"""What a signed 0 is in memory."""


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
