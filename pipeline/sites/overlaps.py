"""AOIs that lie over one another: which there are, and which site counts the ground they share."""

from collections.abc import Sequence

import geopandas as gpd
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.geo import geodesy


def pairs(areas: Sequence[BaseGeometry], least_km2: float) -> list[tuple[int, int]]:
    """Places i < j of AOIs (EPSG:4326) that share more than `least_km2` of ground: AOIs side by side share
    a hair, because their corners were rounded."""
    tree = shapely.STRtree(list(areas))
    found = tree.query(list(areas), predicate="intersects").T.tolist()
    return sorted(
        (i, j) for i, j in found if i < j and geodesy.area_km2(_shared(areas[i], areas[j])) > least_km2
    )


def shared_ground(sites: gpd.GeoDataFrame, least_km2: float) -> list[BaseGeometry | None]:
    """For each site the part of its AOI that another site counts; None where it counts all of it. Of two
    sites the one of the larger footprints counts, of equal ones the first by site_id."""
    areas = list(sites.geometry)
    rank = sites.sort_values(["area_km2", "site_id"], ascending=[False, True]).index
    place = {int(row): order for order, row in enumerate(rank)}
    theirs: dict[int, list[BaseGeometry]] = {}
    for i, j in pairs(areas, least_km2):
        later, counts = (i, j) if place[i] > place[j] else (j, i)
        theirs.setdefault(later, []).append(_shared(areas[later], areas[counts]))
    return [shapely.union_all(theirs[i]) if i in theirs else None for i in range(len(areas))]


def _shared(a: BaseGeometry, b: BaseGeometry) -> BaseGeometry:
    """What two AOIs share, as polygons."""
    parts = shapely.get_parts(shapely.intersection(a, b))
    return shapely.union_all([part for part in parts if part.geom_type in ("Polygon", "MultiPolygon")])
