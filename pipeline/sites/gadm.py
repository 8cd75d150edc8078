"""Areas for facilities that have no point: GADM 4.1 by the deepest unit their GID columns name.

GADM may be used freely for research, but not passed on: the files stay outside the project.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from pyogrio.errors import DataSourceError

from minebench.errors import InputError
from pipeline.geo import vector

LEVELS = ("GID_4", "GID_3", "GID_2", "GID_1", "GID_0")
PAGE = "https://gadm.org/download_country.html"


def fill(table: gpd.GeoDataFrame, folder: Path, source: Path) -> gpd.GeoDataFrame:
    """Give rows without geometry the area of their unit. `folder` holds gadm41_<ISO3>.gpkg files;
    InputError names the row of `source`, or the file that is missing and where it is had."""
    areas = list(table.geometry)
    for position, geometry in enumerate(areas):
        if geometry is None or geometry.is_empty:
            unit = _deepest(table.iloc[position], position, source)
            areas[position] = _area(unit, folder, f"{source} row {position + 1}")
    return table.set_geometry(gpd.GeoSeries(areas, index=table.index, crs=table.crs), inplace=False)


def _deepest(row: pd.Series, position: int, source: Path) -> tuple[int, str]:
    """Level and id of the smallest unit that a row names."""
    for column in LEVELS:
        value = row.get(column)
        if isinstance(value, str) and value:
            return int(column[-1]), value
    raise InputError(
        f"{source} row {position + 1} has neither a geometry nor a GID: give it one or remove the row."
    )


def _area(unit: tuple[int, str], folder: Path, where: str) -> Any:
    level, gid = unit
    path = folder / f"gadm41_{gid.split('.')[0]}.gpkg"
    if not path.is_file():
        raise InputError(f"{where} needs {path}: get it from {PAGE} (version 4.1).")
    found = _units(path, level)
    if gid not in found.index:
        raise InputError(f"{where}: {path} has no unit {gid}.")
    return found.loc[gid]


@lru_cache(maxsize=8)
def _units(path: Path, level: int) -> gpd.GeoSeries:
    """A country's units of a level by their id, in EPSG:4326."""
    try:
        layer = next(name for name in vector.layers(path) if name.endswith(f"_{level}"))
        table = vector.read(path, layer).to_crs(4326)
        return table.set_index(f"GID_{level}").geometry
    except (StopIteration, KeyError, ValueError, InputError, DataSourceError):
        raise InputError(f"{path} is not a GADM 4.1 file with units of level {level}.") from None
