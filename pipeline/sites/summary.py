"""What became of a mine list, in sentences: nothing is merged, split, shared or repaired in silence."""

import os

import geopandas as gpd
import pandas as pd

from minebench.text import counted, few, size
from pipeline.geo import geodesy
from pipeline.recipe import Recipe
from pipeline.sites import repairs

HOW = {
    "once": "statistics count that ground once (sites.overlap: once)",
    "clip": "the smaller site's AOI ends there (sites.overlap: clip)",
}


def of(sites: gpd.GeoDataFrame, recipe: Recipe) -> list[str]:
    """A sentence for each thing that a user may not expect, the count of sites first."""
    mines = sites.attrs.get("mines", len(sites))
    said = [f"{counted(mines, 'mine')}, {counted(len(sites), 'site')}, {_ground(sites, mines, recipe)}"]
    if several := sites.attrs.get("several", 0):
        said.append(
            f"{counted(several, 'mine')} became several sites, because parts lie further apart than "
            f"sites.group_m ({recipe.sites.group_m:g} m)"
        )
    merged = sites[sites.mines > 1]
    if len(merged):
        shapes = counted(int(merged.mines.sum()), "listed shape")
        hold = "holds" if len(merged) == 1 else "hold"
        said.append(f"{counted(len(merged), 'site')} {hold} {shapes} that lie near one another")
    said += _overlap(sites, recipe)
    if sites.repaired.any():
        areas = repairs.areas(sites.attrs.get("repairs"))
        said.append(f"repaired geometry in {few(sites.site_id[sites.repaired].tolist())}{areas}")
    return said + _memory(sites, recipe)


def _ground(sites: gpd.GeoDataFrame, mines: int, recipe: Recipe) -> str:
    """What the list says of the ground: outlines of mines, or where to look."""
    area, side = f"{sites.area_km2.sum():,.1f} km²", 2 * recipe.sites.point_radius_m / 1000
    points = sites.attrs.get("points", 0)
    outline, shape = ("outlines", "a box") if points == 1 else ("outline", "boxes")
    boxes = f"{counted(points, 'point')}, which {outline} nothing: {shape} of {side:g} km to look at"
    if points == mines:
        return boxes
    what = "footprints" if recipe.sites.geometry == "footprint" else "ground to look at"
    return f"{area} of {what}; {boxes}" if points else f"{area} of {what}"


def _overlap(sites: gpd.GeoDataFrame, recipe: Recipe) -> list[str]:
    # Imported files come without that column: their pixels are as published.
    over = sites[sites.elsewhere.notna()] if "elsewhere" in sites else sites[:0]
    if over.empty:
        return []
    shared = sum(geodesy.area_km2(ground) for ground in over.elsewhere)
    overlap = "overlaps" if len(over) == 1 else "overlap"
    how = HOW[recipe.sites.overlap]
    return [f"{counted(len(over), 'site')} {overlap} others by {shared:,.1f} km²: {how}"]


def _memory(sites: gpd.GeoDataFrame, recipe: Recipe) -> list[str]:
    """A warning where the largest site's images do not fit into half of this machine's memory."""
    largest = sites.iloc[(sites.height * sites.width).argmax()]
    need = memory_bytes(largest, recipe)
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if need < here / 2:
        return []
    return [
        f"{largest.site_id}, the largest site ({largest.width:,} x {largest.height:,} pixels), needs about "
        f"{size(need)} of memory and this machine has {size(here)}: lower sites.buffer_m, group_m or workers"
    ]


def memory_bytes(site: pd.Series, recipe: Recipe) -> int:
    """About the most that a stage holds of a site: all of its images twice, as `compose` stacks them."""
    image = int(site.height) * int(site.width) * len(recipe.sensor.bands) * recipe.sensor.encoding.bytes
    return 2 * len(recipe.periods.periods()) * image
