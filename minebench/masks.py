"""Masks in {0, 1, 255}, with 255 for unknown: change labels, and packing to bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 255


def change_label(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the change label of two footprint masks: 1 where they differ, 255 where either is unknown.

    Parameters
    ----------
    first, second
        Masks of one shape in {0, 1, 255}.
    """
    label = (first != second).astype(np.uint8)
    label[(first == UNKNOWN) | (second == UNKNOWN)] = UNKNOWN
    return label


def bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack boolean (..., pixel) into 64-bit words (..., word), padded with zeros, for `np.bitwise_count`."""
    packed = np.packbits(flags, axis=-1, bitorder="little")
    if odd := -packed.shape[-1] % 8:
        padding: Any = [(0, 0)] * (flags.ndim - 1) + [(0, odd)]
        packed = np.pad(packed, padding)
    return packed.view(np.uint64)
