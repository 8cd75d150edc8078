"""Landsat 4 to 9, Collection 2 Level 2: surface reflectance at 30 m, from 1982 on.

Bands go by the STAC names that all its sensors share, so that one recipe holds for Landsat 5 and 9.
Source: Landsat 8-9 Collection 2 Level 2 Science Product Guide (USGS), tables of scale factors and of
QA_PIXEL's bits; the bits are the same for Landsat 4 to 7, which have no cirrus bit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sensors import classes
from pipeline.sensors.profile import Mask, Profile

BANDS = ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22")
VERSION = 1
"""Of calibration and classes: raise it when the same numbers come out otherwise."""
SCALE, OFFSET = 0.0000275, -0.2
"""Reflectance is a digital number times the one plus the other."""
STORED = 1e-4
"""The step of stored reflectance."""
FILL, DILATED, CIRRUS, CLOUD, SHADOW, SNOW, _, WATER = (1 << bit for bit in range(8))
"""Bits of QA_PIXEL."""


def reflectance(pixels: NDArray[Any], _offset: int) -> NDArray[np.uint16]:
    """Digital numbers (uint16, nodata 0) as reflectance with a scale of 1e-4, at least 1; nodata 0."""
    values = pixels.astype(np.float32) * np.float32(SCALE / STORED) + np.float32(OFFSET / STORED)
    return np.where(pixels > 0, np.clip(np.rint(values), 1, 65535), 0).astype(np.uint16)


def quality(stored: NDArray[Any]) -> NDArray[np.uint8]:
    """QA_PIXEL as classes; where several bits are set the one that hides the ground most decides.
    Dilated cloud counts as cloud. Fill has data bits of its own: only the fill bit says nodata."""
    bits = stored.astype(np.uint16, copy=False)
    found = np.full(bits.shape, classes.CLEAR, np.uint8)
    for bit, value in ((WATER, classes.WATER), (SNOW, classes.SNOW), (SHADOW, classes.SHADOW),
                       (CIRRUS, classes.CIRRUS), (DILATED | CLOUD, classes.CLOUD),
                       (FILL, classes.NODATA)):  # fmt: skip
        found[(bits & bit) > 0] = value
    # 0 is what lies beyond an image's edge: no real pixel has none of the bits set.
    found[bits == 0] = classes.NODATA
    return found


QA_PIXEL = Mask("QA", 30, "uint16", quality, "qa_pixel")
C2_L2 = Profile(
    "landsat-c2-l2", "Landsat Collection 2 Level 2, surface reflectance", dict.fromkeys(BANDS, 30.0),
    QA_PIXEL, reflectance, is_reflectance=True, corner_m=15.0, assets={band: band for band in BANDS},
    common={band: band for band in BANDS}, level="L2SP", revisit_days=16, version=VERSION,
)  # fmt: skip
PROFILES = (C2_L2,)
