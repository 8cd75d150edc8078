import numpy as np
import pytest

from pipeline.scenes import radiometry
from pipeline.scenes.radiometry import Floor, decide

OLD, NEW = "02.14", "05.09"


def date(baseline: str, offset: int, dark: float, cut_off: float = 0.0) -> Floor:
    return Floor(baseline, offset, dark, cut_off)


FOREST = [date(OLD, 0, 150), date(OLD, 0, 210), date(NEW, 1000, 180)]
DESERT = [date(OLD, 0, 1150), date(OLD, 0, 1210), date(NEW, 1000, 1180)]


@pytest.mark.parametrize(
    ("scene", "others", "offset", "source"),
    [
        # As it says.
        (date(NEW, 1000, 170), FOREST, 1000, radiometry.METADATA),
        (date(NEW, 0, 170), FOREST, 0, radiometry.METADATA),
        (date(NEW, 0, 1170), DESERT, 0, radiometry.METADATA),
        (date(OLD, 0, 1300), FOREST, 0, radiometry.METADATA),
        # Taken out twice, seen by what is cut off, or over bright ground by the other dates.
        (date(NEW, 1000, 1, 0.6), FOREST, 0, radiometry.PIXELS),
        (date(NEW, 1000, 190), DESERT, 0, radiometry.PIXELS),
        # Not taken out.
        (date(NEW, 0, 1170), FOREST, 1000, radiometry.PIXELS),
        (date(NEW, 0, 2170), DESERT, 1000, radiometry.PIXELS),
        # Nothing to go by.
        (date(NEW, 0, 1170), [], 0, radiometry.UNVERIFIED),
        (date(NEW, 0, 300), [], 0, radiometry.METADATA),
    ],
)
def test_metadata_against_pixels(scene: Floor, others: list[Floor], offset: int, source: str) -> None:
    assert decide(scene, others) == (offset, source)


def test_floor_of_clear_pixels() -> None:
    pixels = np.full((2, 40, 40), 900, np.uint16)
    pixels[1] = 400
    pixels[:, :, 20:] = 5
    clear = np.zeros((40, 40), bool)
    clear[:, :20] = True
    found = radiometry.floor(pixels, clear, NEW, 1000)
    assert found is not None
    assert (found.dark, found.cut_off, found.is_plain) == (400, 0, True)
    assert radiometry.floor(pixels, np.zeros_like(clear), NEW, 0) is None
