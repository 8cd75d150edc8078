"""Masks in {0, 1, 255} and what is derived from them."""

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 255


def change_label(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exclusive-or of two footprint masks in {0, 1, 255}; 255 where either is unknown."""
    label = (first != second).astype(np.uint8)
    label[(first == UNKNOWN) | (second == UNKNOWN)] = UNKNOWN
    return label
