"""AOIs that lie over one another: which there are, and which site counts the ground they share."""

from collections.abc import Iterator, Sequence

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.geo import geodesy

POLYGONS = ("Polygon", "MultiPolygon")


def pairs(areas: Sequence[BaseGeometry], least_km2: float) -> list[tuple[int, int]]:
    """Places i < j of AOIs (EPSG:4326) that share more than `least_km2` of ground: AOIs side by side share
    a hair, because their corners were rounded."""
    return sorted((i, j) for j, i, _ in _shared(areas, np.arange(len(areas)), least_km2))


def shared_ground(sites: gpd.GeoDataFrame, least_km2: float) -> list[BaseGeometry | None]:
    """For each site the part of its AOI that another site counts; None where it counts all of it. Of two
    sites the one of the larger footprints counts, of equal ones the first by site_id."""
    order = sites.sort_values(["area_km2", "site_id"], ascending=[False, True]).index
    rank = np.empty(len(sites), int)
    rank[order] = np.arange(len(sites))
    theirs: dict[int, list[BaseGeometry]] = {}
    for later, _, ground in _shared(sites.geometry, rank, least_km2):
        theirs.setdefault(later, []).append(ground)
    return [shapely.union_all(theirs[i]) if i in theirs else None for i in range(len(sites))]


def _shared(
    areas: Sequence[BaseGeometry], rank: NDArray[np.int64], least_km2: float
) -> Iterator[tuple[int, int, BaseGeometry]]:
    """Places of two AOIs, that of the higher rank first, and the ground that they share, as polygons."""
    shapes = np.array(areas, dtype=object)
    found = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    places = np.array(sorted(pair for pair in found.T.tolist() if pair[0] < pair[1]), int)
    places = places.reshape(-1, 2)
    turned = rank[places[:, 0]] < rank[places[:, 1]]
    places[turned] = places[turned][:, ::-1]
    grounds = shapely.intersection(shapes[places[:, 0]], shapes[places[:, 1]])
    for (later, counts), ground in zip(places.tolist(), grounds, strict=True):
        polygons = [part for part in shapely.get_parts(ground) if part.geom_type in POLYGONS]
        if polygons and geodesy.area_km2(ground) > least_km2:
            yield later, counts, shapely.union_all(polygons)
