"""How much of a split is near its training data: pixels within one tile of a training tile.

A model sees the surroundings of what it is tested on wherever that share is not 0.
"""

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from minebench import tables
from pipeline.geo import geodesy, grid
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

COLUMNS = ["split", "pixels", "near", "share"]


def measure(sites: list[Site], tiles: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """For `val` and `test`: pixels (each counted once), those at most one tile's side from a training
    tile (edge to edge, along rows and columns), and their share; NaN where tiles have no place."""
    rows: list[tuple[str, int, int | None, float]] = []
    train = tables.by_text(tiles[tiles.split == "train"], "site_id")
    trained = [site for site in sites if site.site_id in train]
    tree = shapely.STRtree([site.geometry for site in trained])
    for name in ("val", "test"):
        own = tiles[tiles.split == name]
        if any(site.epsg == 0 for site in sites):
            rows.append((name, int((own.height * own.width).sum()), None, np.nan))
            continue
        whole = near = 0.0
        groups = tables.by_text(own, "site_id")
        for site in sites:
            if site.site_id in groups:
                others = [trained[i] for i in _within(tree, site, recipe)]
                area, close = _of_site(site, groups[site.site_id], others, train, recipe)
                whole, near = whole + area, near + close
        rows.append((name, round(whole), round(near), near / whole if whole else np.nan))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"pixels": "int64", "near": "Int64"})


def _of_site(
    site: Site, own: pd.DataFrame, others: list[Site], train: dict[str, pd.DataFrame], recipe: Recipe
) -> tuple[float, float]:
    """Pixels of a site's tiles, and how many of them are near a training tile of the others."""
    across, down = abs(site.grid.resolution.x), abs(site.grid.resolution.y)
    tested = shapely.union_all(boxes(site, own))
    if site.elsewhere is not None:
        tested = tested.difference(geodesy.project(site.elsewhere, 4326, site.epsg))
    reach = recipe.tiling.size * max(across, down)
    around = []
    for other in others:
        shapes = boxes(other, train[other.site_id])
        if other.epsg != site.epsg:
            shapes = list(geodesy.project_each(shapes, other.epsg, site.epsg))
        bounds = shapely.bounds(np.array(shapes))
        around += [shapely.box(*box) for box in np.add(bounds, (-reach, -reach, reach, reach))]
    pixel = across * down
    near = tested.intersection(shapely.union_all(around)).area if around else 0.0
    return tested.area / pixel, near / pixel


def boxes(site: Site, tiles: pd.DataFrame) -> list[BaseGeometry]:
    """Outlines of a site's tiles in its CRS."""
    outlines = [grid.tile_outline(site.grid, t.y0, t.x0, t.height, t.width) for t in tables.each(tiles)]
    return list(shapely.box(*np.array(outlines).T))


def _within(tree: shapely.STRtree, site: Site, recipe: Recipe) -> list[int]:
    """Places of the sites whose AOI lies within a few tiles of a site's, also across the antimeridian."""
    reach = 2 * recipe.tiling.size * recipe.sensor.resolution
    west, south, east, north = site.geometry.bounds
    up = reach / 1000 / geodesy.KM_A_DEGREE
    side = up / max(0.05, np.cos(np.radians(min(85.0, max(abs(north), abs(south)) + up))))
    windows = [shapely.box(west - side + turn, south - up, east + side + turn, north + up)
               for turn in (-360, 0, 360)]  # fmt: skip
    return sorted({int(place) for window in windows for place in tree.query(window)})
