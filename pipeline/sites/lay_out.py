"""Stage `sites`: mine list to sites, each with one AOI and one grid. Writes index/sites.parquet."""

import hashlib
import logging
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.core import tables
from pipeline.core.errors import InputError
from pipeline.core.layout import Benchmark
from pipeline.geo import geodesy, grid
from pipeline.recipe import Filters, Recipe
from pipeline.sites import imported_sites, mines
from pipeline.sources import import_

log = logging.getLogger(__name__)
POLYGONS = ("Polygon", "MultiPolygon")
ID_DEGREES = 1e-6
"""Geometry is rounded to this, about 0.1 m, before its hash becomes part of a site_id."""


def build(benchmark: Benchmark, recipe: Recipe) -> gpd.GeoDataFrame:
    """Make and write the table of sites. Returns it."""
    if isinstance(recipe.source, import_.Options):
        sites = imported_sites.lay_out(benchmark, recipe, recipe.source.read(benchmark.root))
    else:
        sites = lay_out(benchmark, recipe)
    tables.write(sites, benchmark.table("sites"))
    return sites


def lay_out(benchmark: Benchmark, recipe: Recipe) -> gpd.GeoDataFrame:
    """The table of sites: one row an AOI, with `geometry` (AOI) and `footprint` in EPSG:4326, and
    its grid as epsg, left, top (metres), height, width (pixels)."""
    found = mines.read(benchmark, recipe.sites)
    if found.repaired:
        log.warning("repaired invalid geometry in rows %s", ", ".join(map(str, found.repaired)))
    listed = found.mines.assign(repaired=np.isin(np.arange(len(found.mines)) + 1, found.repaired))
    if recipe.sites.group_m:
        # Parts of one multipolygon may lie kilometres apart: distance decides what is one site.
        listed = listed.explode(ignore_index=True)
    listed = polygons_from(listed, recipe.sites.point_radius_m)
    listed = with_production(listed, recipe.sites.production)
    kept = apply_filters(listed, recipe.sites.filters)
    if kept.empty:
        raise InputError(
            f"{benchmark.recipe}: sites.filters leave none of the {len(listed)} mines; loosen them."
        )
    return group(kept, recipe, source=Path(recipe.sites.mines).name)


def polygons_from(listed: gpd.GeoDataFrame, radius_m: float) -> gpd.GeoDataFrame:
    """The mines as polygons: points become boxes of half side `radius_m`; `is_box` says which."""
    is_box = ~listed.geometry.geom_type.isin([*POLYGONS, "GeometryCollection"])
    shapes = [
        _box_around(shape, radius_m) if box else _polygonal(shape)
        for shape, box in zip(listed.geometry, is_box, strict=True)
    ]
    table = listed.set_geometry(gpd.GeoSeries(shapes, index=listed.index, crs=4326))
    table = table.assign(is_box=is_box, area_km2=[geodesy.area_km2(shape) for shape in shapes])
    if (flat := np.flatnonzero(table["area_km2"].to_numpy() == 0)).size:
        raise InputError(f"The mine list's row {flat[0] + 1} is a polygon without area: remove it.")
    return table


def with_production(listed: gpd.GeoDataFrame, kinds: dict[str, tuple[str, ...]]) -> gpd.GeoDataFrame:
    """Production types filled in from commodities where the list names none: the type one of whose
    words the commodity contains."""
    if not kinds:
        return listed
    words = [(word.lower(), kind) for kind, commodities in kinds.items() for word in commodities]

    def kind_of(commodity: object) -> str | None:
        text = commodity.lower() if isinstance(commodity, str) else ""
        return next((kind for word, kind in words if word in text), None)

    return listed.assign(production=listed["production"].fillna(listed["commodity"].map(kind_of)))


def apply_filters(listed: gpd.GeoDataFrame, filters: Filters) -> gpd.GeoDataFrame:
    """Mines that pass every filter given. Text is compared without regard to case."""
    keep = pd.Series(True, index=listed.index)
    for column, wanted in (
        ("country", filters.country),
        ("commodity", filters.commodity),
        ("status", filters.status),
    ):
        if wanted:
            keep &= listed[column].str.lower().isin([value.lower() for value in wanted])
    if filters.equipment:
        keep &= listed["equipment"].str.contains(filters.equipment, case=False, regex=False, na=False)
    first, last = filters.production_start
    if first is not None:
        keep &= listed["production_start"].ge(first).fillna(False)
    if last is not None:
        keep &= listed["production_start"].le(last).fillna(False)
    if filters.min_area_km2 is not None:
        keep &= listed["area_km2"].ge(filters.min_area_km2)
    if filters.max_area_km2 is not None:
        keep &= listed["area_km2"].le(filters.max_area_km2)
    return listed[keep].reset_index(drop=True)


def group(kept: gpd.GeoDataFrame, recipe: Recipe, source: str) -> gpd.GeoDataFrame:
    """One row a site: mines closer than `group_m` together, sorted by site_id."""
    together = geodesy.groups(
        len(kept),
        geodesy.near_pairs(list(kept.geometry), recipe.sites.group_m) if recipe.sites.group_m else iter(()),
    )
    rows = [_site(kept.iloc[members], recipe, source) for members in together]
    sites = gpd.GeoDataFrame(rows, geometry="geometry", crs=4326)
    sites["footprint"] = gpd.GeoSeries(sites["footprint"], crs=4326)
    sites = sites.sort_values("site_id").drop_duplicates("site_id").reset_index(drop=True)
    if recipe.sites.per_country:
        sites = largest_of(sites, recipe.sites.per_country)
    # The hash at an id's end makes a fixed sample that is spread over the list.
    sample = sites.site_id.str[-6:].rank(method="first").le(recipe.sites.limit or len(sites))
    return sites[sample].reset_index(drop=True)


def largest_of(sites: gpd.GeoDataFrame, wanted: dict[str, int]) -> gpd.GeoDataFrame:
    """The sites of the largest footprints in each country named, as many as wanted or as there are."""
    rank = sites.groupby("country").area_km2.rank(method="first", ascending=False)
    for country, count in wanted.items():
        if (found := int((sites.country == country).sum())) < count:
            log.warning("%s: %d sites wanted, %d listed", country, count, found)
    kept = sites[rank <= sites.country.map(wanted).fillna(0)].reset_index(drop=True)
    if kept.empty:
        raise InputError(f"sites.per_country: no mine lies in {', '.join(wanted)}.")
    return kept


def _site(members: gpd.GeoDataFrame, recipe: Recipe, source: str) -> dict[str, object]:
    # The largest polygon names the site, so a small neighbour added later changes no site_id.
    members = members.sort_values("area_km2", ascending=False, kind="stable")
    largest = members.iloc[0]
    merged = shapely.union_all(members.geometry.to_numpy())
    epsg = geodesy.utm_epsg(*geodesy.centre(merged))
    # Vertex by vertex, then united: in UTM a polygon over the antimeridian is an ordinary one.
    outline = shapely.union_all([geodesy.project(shape, 4326, epsg) for shape in members.geometry])
    grid_box, aoi = area_of_interest(outline, epsg, recipe)
    is_footprint = recipe.sites.geometry == "footprint" and not members["is_box"].any()
    return {
        "site_id": site_id(largest["name"], largest.geometry),
        "name": largest["name"] or "",
        "country": largest["country"],
        "commodity": _first_given(members["commodity"]),
        "production": _first_given(members["production"]),
        "source": source,
        "area_km2": round(outline.area / 1e6, 6),
        "epsg": epsg,
        "left": grid_box.transform.c,
        "top": grid_box.transform.f,
        "height": grid_box.height,
        "width": grid_box.width,
        "mines": len(members),
        "repaired": bool(members["repaired"].any()),
        "geometry": geodesy.to_lonlat(aoi, epsg),
        "footprint": geodesy.to_lonlat(outline, epsg) if is_footprint else None,
    }


def area_of_interest(outline: BaseGeometry, epsg: int, recipe: Recipe) -> tuple[GeoBox, BaseGeometry]:
    """The grid and the AOI (UTM) around a site's outline (UTM): buffered, squared, snapped."""
    buffered = outline.buffer(recipe.sites.buffer_m) if recipe.sites.buffer_m else outline
    left, bottom, right, top = buffered.bounds
    width, height = (max(side, recipe.sites.min_size_m) for side in (right - left, top - bottom))
    if recipe.sites.square:
        width = height = max(width, height)
    middle = (left + right) / 2, (bottom + top) / 2
    sensor, corner = recipe.sensor, recipe.profile.corner_m
    exact = recipe.sites.buffer_m == 0
    box = grid.around(middle, width, height, epsg, sensor.resolution, sensor.step, corner, exact)
    if recipe.sites.square:
        return box, shapely.box(*box.boundingbox.bbox)
    return box, buffered.intersection(shapely.box(*box.boundingbox.bbox))


def site_id(name: str | None, geometry: BaseGeometry) -> str:
    """A readable, stable id: the name's slug and six hex digits of the geometry's hash."""
    slug = re.sub(r"[^a-z0-9]+", "-", (name or "mine").lower()).strip("-")[:24].strip("-") or "mine"
    # normalize() makes the hash free of vertex order and starting point.
    rounded = shapely.normalize(shapely.set_precision(geometry, ID_DEGREES, mode="pointwise"))
    return f"{slug}-{hashlib.sha256(shapely.to_wkb(rounded)).hexdigest()[:6]}"


def _box_around(shape: BaseGeometry, radius_m: float) -> BaseGeometry:
    epsg = geodesy.utm_epsg(*geodesy.centre(shape))
    left, bottom, right, top = geodesy.project(shape, 4326, epsg).bounds
    box = shapely.box(left - radius_m, bottom - radius_m, right + radius_m, top + radius_m)
    return geodesy.to_lonlat(box, epsg)


def _polygonal(shape: BaseGeometry) -> BaseGeometry:
    """Only the polygons of a shape: repairing can leave stray lines and points."""
    parts = [part for part in shapely.get_parts(shapely.force_2d(shape)) if part.geom_type in POLYGONS]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _first_given(values: pd.Series) -> str | None:
    given = values.dropna()
    return str(given.iloc[0]) if len(given) else None
