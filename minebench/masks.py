"""Masks in {0, 1, 255} and what is derived from them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 255


def change_label(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exclusive-or of two footprint masks in {0, 1, 255}; 255 where either is unknown."""
    label = (first != second).astype(np.uint8)
    label[(first == UNKNOWN) | (second == UNKNOWN)] = UNKNOWN
    return label


def bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Boolean (..., pixel) as 64 to a word, for `np.bitwise_count`; padded with zeros."""
    packed = np.packbits(flags, axis=-1, bitorder="little")
    if odd := -packed.shape[-1] % 8:
        padding: Any = [(0, 0)] * (flags.ndim - 1) + [(0, odd)]
        packed = np.pad(packed, padding)
    return packed.view(np.uint64)
