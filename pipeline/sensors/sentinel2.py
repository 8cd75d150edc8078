"""What every Sentinel-2 L2A provider shares: asset names, native pixel sizes, the offset rule."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ASSETS = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1",
    "B06": "rededge2", "B07": "rededge3", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B11": "swir16", "B12": "swir22",
}  # fmt: skip
"""Band to asset key in Earth Search; Planetary Computer's keys are the bands' own names."""

COMMON_NAMES = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge071",
    "B06": "rededge075", "B07": "rededge078", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B11": "swir16", "B12": "swir22", "R": "red", "G": "green", "B": "blue", "N": "nir",
}  # fmt: skip
"""STAC names of the bands, and of the letters used for aerial images."""

BOA_OFFSET = 1000
"""What processing baseline 04.00 added to the digital numbers."""


def offset(properties: Mapping[str, Any]) -> int:
    """How much to take from the digital numbers, by an item's own metadata.

    From baseline 04.00 on the numbers carry 1000 more, unless the provider says that it has
    already taken them out. The sensing date is no guide: early scenes have been reprocessed.
    """
    carries = carries_offset(str(properties.get("s2:processing_baseline", "0")))
    return BOA_OFFSET if carries and not properties.get("earthsearch:boa_offset_applied") else 0


def carries_offset(baseline: str) -> bool:
    """Whether ESA put the offset into products of this processing baseline."""
    try:
        return float(baseline) >= 4
    except ValueError:
        return False


def without_offset(pixels: NDArray[Any], offset: int) -> NDArray[Any]:
    """Digital numbers less `offset`, in place; nodata stays 0.

    Below the offset reflectance is negative: that becomes 1, the smallest valid number.
    """
    if offset:
        valid = pixels > 0
        np.maximum(pixels, pixels.dtype.type(offset + 1), out=pixels)
        pixels -= pixels.dtype.type(offset)
        pixels *= valid
    return pixels
