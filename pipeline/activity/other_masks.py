"""Activity from a folder of dated change masks of any tool: GeoTIFFs of 0 and 1, or of 0 and 255.

A name holds two dates, or the later one alone: then the interval begins with the date before. A file's
nodata is unknown. Writes intervals.csv and the maps of `map_files` into one folder.
"""

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from minebench.errors import InputError
from minebench.files import replacing
from pipeline.activity import map_files, measures
from pipeline.activity.change_maps import ChangeMaps, Pair
from pipeline.geo import gdal

DATE = re.compile(r"(?<!\d)(\d{4})(?:-?(\d{2})-?(\d{2})|-(\d{2}))?(?!\d)")


@dataclass(frozen=True)
class Dated:
    """A mask's file and the days that its name gives."""

    path: Path
    days: tuple[date, ...]


def build(pattern: str, out: Path, area: Path | None = None, by_length: bool = False) -> pd.DataFrame:
    """Measure the masks that fit `pattern`; `area` is a mask of the AOI on the same grid, not 0 inside.
    Returns the rows of intervals.csv. InputError where there is nothing to measure or files differ."""
    dated = _listed(pattern)
    pairs = _pairs(dated)
    box = _box(dated[0].path)
    # A first mask of a single date only says where the first interval begins.
    masks = [_read(entry.path, box) for entry in dated[len(dated) - len(pairs) :]]
    change = np.stack([changed for changed, _ in masks]).astype(np.float32)
    maps = ChangeMaps("masks", pairs, change, np.stack([known for _, known in masks]), 0.5)
    aoi = np.ones(box.shape, bool) if area is None else _read(area, box)[0]
    starts = {label: date.fromisoformat(label) for pair in pairs for label in pair}
    months = measures.lengths(starts, pairs)
    pixel_m2 = abs(box.transform.a * box.transform.e)
    found = measures.measure(out.name, maps, aoi, pixel_m2, months, by_length)
    table = pd.DataFrame(found.rows, columns=list(measures.INTERVALS)).drop(columns=["site_id", "source"])
    with replacing(out) as temporary:
        map_files.write(temporary, found, pairs, box, aoi)
        table.to_csv(temporary / "intervals.csv", index=False)
    return table


def _listed(pattern: str) -> list[Dated]:
    folder = Path(pattern).parent
    paths = sorted(folder.glob(Path(pattern).name))
    if not paths:
        raise InputError(f"--masks: no file fits '{pattern}'; quote the pattern, such as 'pred_*.tif'.")
    found = [Dated(path, _days(path)) for path in paths]
    if bare := [entry.path.name for entry in found if not entry.days]:
        raise InputError(f"--masks: there is no date in the name {bare[0]}; write it as 2021-03-09.")
    return sorted(found, key=lambda entry: (entry.days[::-1], entry.path))


def _days(path: Path) -> tuple[date, ...]:
    """The days in a name, in order: at most the last two."""
    found = []
    for year, month, day, only_month in DATE.findall(path.stem):
        try:
            found.append(date(int(year), int(month or only_month or 1), int(day or 1)))
        except ValueError:
            raise InputError(f"--masks: the name {path.name} holds no date of the calendar.") from None
    return tuple(sorted(found)[-2:])


def _pairs(dated: list[Dated]) -> list[Pair]:
    """The interval of each mask; the first of those with a single date only begins the second's."""
    if all(len(entry.days) == 2 for entry in dated):
        return [(a.isoformat(), b.isoformat()) for a, b in (entry.days for entry in dated)]
    if any(len(entry.days) == 2 for entry in dated):
        raise InputError("--masks: some names hold two dates and some one; name all alike.")
    days = [entry.days[0].isoformat() for entry in dated]
    if len(days) < 2:
        raise InputError("--masks: one mask with one date in its name has no interval; name it by two dates.")
    if len(set(days)) < len(days):
        raise InputError(f"--masks: two masks are of {next(d for d in days if days.count(d) > 1)}.")
    return list(pairwise(days))


def _box(path: Path) -> GeoBox:
    try:
        with rasterio.open(path, driver=gdal.driver_of(path)) as file:
            crs = file.crs
            if crs is None or not crs.is_projected:
                raise InputError(f"{path} has no projected CRS, so areas are not known: give it in metres.")
            return GeoBox(file.shape, file.transform, str(crs))
    except RasterioError as error:
        raise InputError(f"{path} cannot be read: {error}.") from None


def _read(path: Path, box: GeoBox) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a mask says changed, and where it is known (y, x)."""
    try:
        with rasterio.open(path, driver=gdal.driver_of(path)) as file:
            values, nodata, own = file.read(1), file.nodata, GeoBox(file.shape, file.transform, str(file.crs))
    except RasterioError as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    if own != box:
        raise InputError(f"{path} is of another grid than the first mask: put all on one grid.")
    known = np.ones(box.shape, bool) if nodata in (None, 0) else values != nodata
    strange = set(np.unique(values[known]).tolist()) - {0, 1, 255}
    if strange:
        raise InputError(f"{path} holds {min(strange)}: a mask is of 0 and 1, or of 0 and 255.")
    return (values > 0) & known, known
