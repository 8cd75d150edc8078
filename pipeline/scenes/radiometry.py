"""Does a Sentinel-2 scene carry the offset of baseline 04.00? What its metadata says is checked
against its pixels, because metadata has been wrong (Element84/earth-search #66).

The darkest places of a scene lie near 0. A scene whose offset was not taken out has them near
1000; one whose offset was taken out twice has them cut off at the smallest number.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sensors.sentinel2 import BOA_OFFSET, carries_offset

CUT_OFF = 0.2
"""Share of pixels at the smallest number that no scene of land and water has by itself."""
CLEARLY = 500
"""Numbers by which the other reading must fit better: half of the offset."""
FEWEST = 3
METADATA, PIXELS, UNVERIFIED = "metadata, pixels agree", "pixels, against metadata", "metadata, unverified"


@dataclass(frozen=True)
class Floor:
    """Of a scene's clear pixels with `offset` taken out: the 1st percentile of the darkest band,
    and the share at the smallest number."""

    baseline: str
    offset: int
    dark: float
    cut_off: float

    @property
    def is_plain(self) -> bool:
        """Whether pixels and metadata fit together without looking at other dates."""
        return self.cut_off < CUT_OFF and self.dark < BOA_OFFSET


def floor(pixels: NDArray[Any], clear: NDArray[np.bool_], baseline: str, offset: int) -> Floor | None:
    """The floor of (band, y, x) digital numbers; None where hardly anything is clear."""
    seen = clear & (pixels > 0).all(axis=0)
    if seen.sum() < 100:
        return None
    darkest = pixels[:, seen].min(axis=0)
    return Floor(baseline, offset, float(np.percentile(darkest, 1)), float((darkest <= 1).mean()))


def decide(scene: Floor, others: list[Floor]) -> tuple[int, str]:
    """The offset to take from a scene, and what says so. `others` are the site's other dates: over
    bright ground only they tell 1000 too many from a bright scene."""
    if not carries_offset(scene.baseline):
        return scene.offset, METADATA
    if scene.offset and scene.cut_off >= CUT_OFF:
        return 0, PIXELS
    usual = _usual(others)
    if usual is None:
        return scene.offset, METADATA if scene.is_plain else UNVERIFIED
    other = 0 if scene.offset else BOA_OFFSET
    here, there = scene.dark, scene.dark + scene.offset - other
    if abs(there - usual) + CLEARLY < abs(here - usual):
        return other, PIXELS
    return scene.offset, METADATA


def _usual(others: list[Floor]) -> float | None:
    """How dark the site's darkest places are: by dates that never carried an offset, or else by
    most of the dates, of which there must be some."""
    sure = [other.dark for other in others if not carries_offset(other.baseline)]
    known = sure or [other.dark for other in others if other.cut_off < CUT_OFF]
    return float(np.median(known)) if sure or len(known) >= FEWEST else None
