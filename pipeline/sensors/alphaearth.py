"""Google's annual Satellite Embedding as a sensor; `minebench.cube.encoding` says what its numbers are."""

from datetime import UTC, datetime

from minebench.cube.encoding import BANDS
from pipeline.sensors.profile import Profile, Sensor

PIXEL_M = 10.0
VERSION = 1
"""Of the numbers: raise it when the same vectors come out otherwise."""
ANNUAL = Profile(
    "satellite-embedding", "Google's annual Satellite Embedding, 64 numbers a pixel",
    dict.fromkeys(BANDS, PIXEL_M), version=VERSION, revisit_days=365, dtype="int8", yearly=True,
)  # fmt: skip
PROFILES = (ANNUAL,)
DATED_BY = "middle of the year"


def middle_of(year: int) -> datetime:
    """Return a time that no time zone moves into another year."""
    return datetime(year, 7, 2, 12, tzinfo=UTC)


def check(sensor: Sensor) -> None:
    """ValueError where a recipe's sensor has what embeddings do not have."""
    if unknown := sorted(set(sensor.bands) - set(BANDS)):
        raise ValueError(f"sensor.bands: {unknown[0]} is no band of an embedding; they are A00 to A63")
    if sensor.resolution != PIXEL_M:
        raise ValueError("sensor.resolution: an embedding is of 10 m, and cannot be resampled; set it to 10")
