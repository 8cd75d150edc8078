"""What a folder of a user's own images holds: enough for the lines of a recipe."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import InputError
from pipeline.geo import grid, raster

SUFFIXES = (".tif", ".tiff")
DATES = (r"(?<!\d)(?P<date>(?:19|20)\d{2}-\d{2}-\d{2})(?!\d)", r"(?<!\d)(?P<date>(?:19|20)\d{6})(?!\d)",
         r"(?<!\d)(?P<date>(?:19|20)\d{2})(?!\d)")  # fmt: skip
"""How names tell a date, the most exact first: 2014-02-20, 20140220, 2014."""
NAMED = {1: ("pan",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "NIR")}


@dataclass(frozen=True)
class Images:
    """`pattern` finds the date in a file's name; `resolution` is in metres."""

    path: Path
    pattern: str
    years: list[str]
    bands: tuple[str, ...]
    rgb: tuple[str, str, str]
    dtype: str
    resolution: float


def look(folder: Path) -> Images:
    """The folder's bands, pixel and years, by its files' names and its first file. InputError where it is
    no folder of dated GeoTIFFs that a recipe can name."""
    names = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not names:
        raise InputError(f"--images: {folder} holds no GeoTIFFs ({', '.join(SUFFIXES)}).")
    date = next((date for date in DATES if all(re.search(date, name) for name in names)), None)
    if date is None:
        raise InputError(
            f"--images: not all files of {folder} have a date in their names, such as {names[0]}: rename "
            "them, or write source.dates into the recipe by hand."
        )
    found = [match["date"] for name in names if (match := re.search(date, name))]
    with raster.opened(str(folder / names[0])) as file:
        if file.crs is None:
            raise InputError(f"{folder / names[0]} has no CRS: assign one, for example with gdal_edit.")
        dtype, count = file.dtypes[0], file.count
        pixel = math.sqrt(grid.pixel_m2(raster.grid_of(file), abs(file.transform.a)))
    if dtype not in ("uint8", "uint16"):
        raise InputError(f"{folder / names[0]} is {dtype}; images may be uint8 or uint16.")
    bands = NAMED.get(count, tuple(f"B{i}" for i in range(1, count + 1)))
    rgb = (bands[0], bands[min(1, count - 1)], bands[min(2, count - 1)])
    pattern = rf".*{date}.*\.[tT][iI][fF]{{1,2}}"
    return Images(folder, pattern, _years(found), bands, rgb, str(dtype), _rounded(pixel))


def _years(dates: Sequence[str]) -> list[str]:
    return sorted({date[:4] for date in dates})


def _rounded(pixel: float) -> float:
    """Two significant digits: 5.0, 1.2, 87."""
    digits = 1 - math.floor(math.log10(pixel))
    return round(pixel, digits)
