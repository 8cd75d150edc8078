"""Google's annual Satellite Embedding as a sensor; `pipeline.core.embedding` says what its numbers are."""

from pipeline.core.embedding import BANDS
from pipeline.sensors.profile import Profile

PIXEL_M = 10.0
VERSION = 1
"""Of the numbers: raise it when the same vectors come out otherwise."""
ANNUAL = Profile(
    "satellite-embedding", "Google's annual Satellite Embedding, 64 numbers a pixel",
    dict.fromkeys(BANDS, PIXEL_M), version=VERSION, revisit_days=365, dtype="int8", yearly=True,
)  # fmt: skip
PROFILES = (ANNUAL,)
