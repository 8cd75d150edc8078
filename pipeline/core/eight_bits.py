"""Pictures of 8 bits between a source and a cube: uint16, each number one higher.

So 0 is no data, as everywhere, and black is the number 1. Kept scenes without black are uint8, 0 where there
is no data: so they were before black was a colour, and so their checksums stay.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLACK = 1
"""What a valid 0 is, one higher."""


def raised(pixels: NDArray[Any], has_data: NDArray[np.bool_] | bool = True) -> NDArray[np.uint16]:
    """Return numbers from 0 to 255 one higher, 0 where there is no data. ValueError for other numbers."""
    found = np.where(has_data, pixels, 0)
    if found.size and (found.min() < 0 or found.max() > 255):
        raise ValueError("numbers of a picture are from 0 to 255")
    return np.where(has_data, found.astype(np.uint16) + np.uint16(1), np.uint16(0))


def lowered(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the numbers of a picture, 0 for black and where there is no data."""
    return (np.maximum(pixels, 1) - 1).astype(np.uint8)


def kept(pixels: NDArray[np.uint16]) -> NDArray[Any]:
    """Return what `raised` gave as a scene is kept: uint8 where nothing in it is black."""
    return pixels if (pixels == BLACK).any() else lowered(pixels)


def read_back(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """Return what `kept` made, one higher again."""
    if pixels.dtype != np.uint8:
        return pixels
    return raised(pixels, pixels > 0)
