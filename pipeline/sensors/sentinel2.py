"""Sentinel-2 of any provider: asset names, native pixel sizes, scene classes, the offset rule."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sensors import classes
from pipeline.sensors.boa_offset import without_offset
from pipeline.sensors.profile import Mask, Profile

ASSETS = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1",
    "B06": "rededge2", "B07": "rededge3", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B11": "swir16", "B12": "swir22",
}  # fmt: skip
"""Band to asset key in Earth Search; Planetary Computer's keys are the bands' own names."""
COMMON = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge071",
    "B06": "rededge075", "B07": "rededge078", "B08": "nir", "B8A": "nir08", "B09": "nir09",
    "B11": "swir16", "B12": "swir22",
}  # fmt: skip
PIXEL_M = {band: 10 if band in {"B02", "B03", "B04", "B08"} else 60 if band in {"B01", "B09"} else 20
           for band in ASSETS}  # fmt: skip

VERSION = 1
"""Of calibration and classes: raise it when the same numbers come out otherwise."""


def scene_classes(stored: NDArray[Any]) -> NDArray[np.uint8]:
    """SCL's numbers are the pipeline's own."""
    return stored.astype(np.uint8, copy=False)


SCORE_CLEAR, SCORE_CLOUD = 4, 9
"""How Cloud Score+ above and below the recipe's threshold is stored."""


def scored_classes(stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Cloud Score+ says clear or cloud, and nothing of the ground."""
    return np.where(stored == SCORE_CLEAR, classes.CLEAR, stored).astype(np.uint8)


SCL = Mask("SCL", 20, "uint8", scene_classes, "scl")
CLOUD_SCORE = Mask("SCL", 20, "uint8", scored_classes)
"""Kept under the same name and at the same pixel size as SCL."""
SCORE_VERSION = 2
"""Of the classes of Cloud Score+, as `VERSION`: 2 tells ground that was not seen from cloud."""
L2A = Profile(
    "sentinel-2-l2a", "Sentinel-2 Level-2A, surface reflectance", PIXEL_M, SCL, without_offset,
    has_offset=True, is_reflectance=True, assets=ASSETS, common=COMMON, level="L2A", revisit_days=5,
    version=VERSION,
)  # fmt: skip
L1C = Profile(
    "sentinel-2-l1c", "Sentinel-2 Level-1C, top of atmosphere", PIXEL_M, None, without_offset,
    has_offset=True, is_reflectance=True, assets=ASSETS, common=COMMON, level="L1C", revisit_days=5,
    version=VERSION,
)  # fmt: skip
PROFILES = (L2A, L1C)
USUALLY_CLEAR = classes.numbers(classes.USUALLY_CLEAR)


def of_cloud_rule(mask: Mask | None) -> Profile:
    """Level-2A whose clear pixels are told by another mask."""
    version = SCORE_VERSION if mask is CLOUD_SCORE else VERSION
    return L2A if mask is SCL else replace(L2A, mask=mask, version=version)
