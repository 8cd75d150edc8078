"""Signed bytes: int8 with nodata -128 in a cube and its GeoTIFFs, uint8 with nodata 0 everywhere else.

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
