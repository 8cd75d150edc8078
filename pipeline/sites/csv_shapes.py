"""Outlines in a column of a CSV: WKT, or WKB as hexadecimal digits, as PostGIS writes a geometry."""

import re

import geopandas as gpd
import pandas as pd
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError

COLUMNS = ("wkt", "wkt_geom", "geom_wkt", "geometry_wkt", "wkb", "wkb_geometry", "geom_wkb", "ewkb",
           "geometry", "geom", "the_geom", "shape")  # fmt: skip
"""Names that the column may have, in small letters."""
IS_WKT = re.compile(
    r"\s*(?:SRID=\d+;)?\s*(?:MULTI)?(?:POINT|LINESTRING|POLYGON|GEOMETRYCOLLECTION)\b", re.IGNORECASE
)
SRID = re.compile(r"(?:SRID=(\d+);)?(.*)", re.IGNORECASE | re.DOTALL)
"""What PostGIS writes before WKT."""
WKB = re.compile(r"\s*(?:\\x)?((?:00[0-9a-f]{8}|01[0-9a-f]{8})(?:[0-9a-f]{2})+)\s*", re.IGNORECASE)
"""The byte order, the kind of geometry, and the rest; `\\x` is before a bytea."""
WGS84 = 4326


def is_shape(cell: str) -> bool:
    """Whether a cell seems to be WKT or WKB."""
    return bool(IS_WKT.match(cell) or WKB.fullmatch(cell))


def read(table: pd.DataFrame, column: str, what: str) -> gpd.GeoDataFrame:
    """The rows with the shapes of a column, in EPSG:4326 where it names no SRID. Empty cells are None.
    InputError names the row of `what`."""
    found = [_parsed(cell, f"{what} row {row}: {column}") for row, cell in table[column].items()]
    codes = {code for shape, code in found if shape is not None}
    if len(codes) > 1:
        raise InputError(f"{what}: {column} names several SRIDs: bring all rows into one.")
    code = codes.pop() if codes else WGS84
    try:
        crs = pyproj.CRS.from_epsg(code)
    except CRSError:
        raise InputError(
            f"{what}: {column} has SRID {code}, which is no EPSG code: bring the list into EPSG:4326."
        ) from None
    rest = table.drop(columns=column).reset_index(drop=True)
    return gpd.GeoDataFrame(rest, geometry=[shape for shape, _ in found], crs=crs)


def _parsed(cell: object, where: str) -> tuple[BaseGeometry | None, int]:
    """A cell's shape and its SRID."""
    if not isinstance(cell, str):
        return None, WGS84
    try:
        if digits := WKB.fullmatch(cell):
            shape = shapely.from_wkb(digits[1])
            return shapely.set_srid(shape, 0), int(shapely.get_srid(shape)) or WGS84
        srid, text = SRID.fullmatch(cell.strip()).groups()  # type: ignore[union-attr]  # it takes any text
        return shapely.from_wkt(text), int(srid or WGS84)
    except shapely.errors.GEOSException:
        raise InputError(f"{where} is neither WKT nor WKB in hexadecimal digits: '{cell[:40]}'.") from None
