"""What a pixel shows, by one set of numbers for every sensor.

The numbers are those of Sentinel-2's scene classification (SCL), with one more for pixels of which a
sensor says only that they are clear. Each sensor's own mask is decoded into them (`profile.Mask`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

NODATA = 0
SHADOW = 3
WATER = 6
CLOUD = 9
CIRRUS = 10
SNOW = 11
CLEAR = 12
"""Clear, and nothing more is said: always clear, whatever classes a recipe names."""

NAMES: dict[str, tuple[int, ...]] = {
    "nodata": (NODATA,), "saturated": (1,), "dark": (2,), "shadow": (SHADOW,), "vegetation": (4,),
    "bare": (5,), "water": (WATER,), "unclassified": (7,), "cloud": (8, CLOUD), "cirrus": (CIRRUS,),
    "snow": (SNOW,), "clear": (CLEAR,),
}  # fmt: skip
"""Class names of recipes; Sentinel-2 tells cloud of medium (8) and of high probability (9)."""
CLOUDS = (8, CLOUD, CIRRUS)
USUALLY_CLEAR = ("vegetation", "bare", "water", "unclassified")


@dataclass(frozen=True)
class ClearRule:
    """Which pixels are clear: those of `numbers`, and `CLEAR`, at least `margin` pixels of the mask away
    from every other pixel with data."""

    numbers: tuple[int, ...]
    margin: int


def numbers(names: Iterable[str | int]) -> tuple[int, ...]:
    """The numbers of the named classes, sorted. ValueError names one that is unknown."""
    found: set[int] = set()
    for name in names:
        if isinstance(name, int) and 0 <= name <= SNOW:
            found.add(name)
        elif isinstance(name, str) and name in NAMES and name != "nodata":
            found.update(NAMES[name])
        else:
            known = ", ".join(word for word in NAMES if word != "nodata")
            raise ValueError(f"'{name}' is not a class of pixels; choose from {known}")
    return tuple(sorted(found))
