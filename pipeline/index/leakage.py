"""How much of a split is near its training data: pixels within one tile of a training tile.

A model sees the surroundings of what it is tested on wherever that share is not 0.
"""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.geo import geodesy, grid
from pipeline.recipe import Recipe

COLUMNS = ["split", "pixels", "near", "share"]


def measure(sites: gpd.GeoDataFrame, tiles: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """For `val` and `test`: pixels (each counted once), those at most one tile's side from a training
    tile (edge to edge, along rows and columns), and their share; NaN where tiles have no place."""
    rows: list[tuple[str, int, int | None, float]] = []
    for name in ("val", "test"):
        if grid.placeless(sites):
            rows.append((name, int((tiles.height * tiles.width)[tiles.split == name].sum()), None, np.nan))
            continue
        whole = near = 0.0
        for site, own in _by_site(sites, tiles[tiles.split == name]):
            area, close = _of_site(site, own, sites, tiles[tiles.split == "train"], recipe)
            whole, near = whole + area, near + close
        rows.append((name, round(whole), round(near), near / whole if whole else np.nan))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"pixels": "int64", "near": "Int64"})


def _by_site(sites: gpd.GeoDataFrame, tiles: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    groups = dict(tuple(tiles.groupby("site_id")))
    return [(row, groups[row.site_id]) for row in sites.itertuples() if row.site_id in groups]


def _of_site(
    site: Any, own: pd.DataFrame, sites: gpd.GeoDataFrame, train: pd.DataFrame, recipe: Recipe
) -> tuple[float, float]:
    """Pixels of a site's tiles, and how many of them are near a training tile."""
    box = grid.of_site(site, recipe.sensor.resolution)
    across, down = abs(box.transform.a), abs(box.transform.e)
    tested = shapely.union_all(boxes(site, own, recipe))
    reach = recipe.tiling.size * max(across, down)
    around = []
    for other, group in _by_site(sites[_within(sites, site, recipe)], train):
        shapes = boxes(other, group, recipe)
        if other.epsg != site.epsg:
            shapes = [geodesy.project(shape, int(other.epsg), int(site.epsg)) for shape in shapes]
        bounds = shapely.bounds(np.array(shapes))
        around += [shapely.box(*box) for box in np.add(bounds, (-reach, -reach, reach, reach))]
    pixel = across * down
    near = tested.intersection(shapely.union_all(around)).area if around else 0.0
    return tested.area / pixel, near / pixel


def boxes(site: Any, tiles: pd.DataFrame, recipe: Recipe) -> list[BaseGeometry]:
    """Outlines of a site's tiles in its CRS."""
    transform = grid.of_site(site, recipe.sensor.resolution).transform
    left = transform.c + transform.a * tiles.x0
    top = transform.f + transform.e * tiles.y0
    return list(shapely.box(left, top + transform.e * tiles.height, left + transform.a * tiles.width, top))


def _within(sites: gpd.GeoDataFrame, site: Any, recipe: Recipe) -> np.ndarray:
    """Sites whose AOI lies within a few tiles of a site's, itself among them."""
    reach = 2 * recipe.tiling.size * recipe.sensor.resolution
    west, south, east, north = site.geometry.buffer(0).bounds
    up = reach / 1000 / geodesy.KM_A_DEGREE
    side = up / max(0.05, np.cos(np.radians(min(85.0, abs(north) + up))))
    bounds = sites.geometry.bounds
    apart = np.abs((bounds.minx + bounds.maxx) / 2 - (west + east) / 2)
    apart = np.minimum(apart, 360 - apart) - (bounds.maxx - bounds.minx) / 2 - (east - west) / 2
    tall = (bounds.miny <= north + up) & (bounds.maxy >= south - up)
    return ((apart <= side) & tall | (sites.site_id == site.site_id)).to_numpy()
