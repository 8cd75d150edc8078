"""ISO 3166 codes for mines whose list names no country.

countries.geojson is Natural Earth 1:110m (public domain), coordinates rounded to 0.01°: within
some 10 km of a border it can name the neighbour, so a list's own code always comes first.
"""

from functools import cache
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely

FILE = Path(__file__).with_name("countries.geojson")
COAST_DEGREES = 0.5
"""How far off the coarse coastline a mine may lie."""


@cache
def borders() -> gpd.GeoDataFrame:
    """Countries with iso_a3, name and geometry (EPSG:4326)."""
    return gpd.read_file(FILE)


def complete(given: pd.Series, geometries: gpd.GeoSeries) -> list[str | None]:
    """ISO3 for each mine: its own code, the code of its country's name, else by location."""
    known = borders()
    by_name = dict(zip(known["name"].str.lower(), known["iso_a3"], strict=True))
    located = _locate(geometries)
    codes: list[str | None] = []
    for value, place in zip(given, located, strict=True):
        text = "" if pd.isna(value) else str(value).strip()
        own = text.upper() if len(text) == 3 and text.isalpha() else by_name.get(text.lower())
        codes.append(own or place)
    return codes


def _locate(geometries: gpd.GeoSeries) -> list[str | None]:
    known = borders()
    points = shapely.point_on_surface(geometries.to_numpy())
    tree = shapely.STRtree(known.geometry.to_numpy())
    nearest = dict(tree.query_nearest(points, max_distance=COAST_DEGREES, all_matches=False).T)
    codes = known["iso_a3"].tolist()
    return [codes[nearest[i]] if i in nearest else None for i in range(len(points))]
