"""Distances and centres on the globe, right across the antimeridian and at high latitude."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import antimeridian
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

from minebench import cores

WGS84 = Geod(ellps="WGS84")
KM_A_DEGREE = 111.0


Shapes = NDArray[np.object_]
"""Geometries, one an element."""
Geometries = Sequence[BaseGeometry] | Shapes
Floats = NDArray[np.float64]


def centre(geometry: BaseGeometry) -> tuple[float, float]:
    """Longitude and latitude of a geometry's centroid."""
    lon, lat = centres([geometry])[0]
    return float(lon), float(lat)


def centres(geometries: Geometries) -> Floats:
    """Longitude and latitude (shape, 2) of the centroids of geometries in EPSG:4326."""
    origins = _middles(geometries)
    centroids = shapely.centroid(_on_planes(geometries, origins))
    x, y = shapely.get_x(centroids), shapely.get_y(centroids)
    from_lon, from_lat = origins.T
    lon, lat, _ = WGS84.fwd(from_lon, from_lat, np.degrees(np.arctan2(x, y)), np.hypot(x, y))
    return np.column_stack([lon, lat])


def _on_planes(geometries: Geometries, origins: Floats) -> Shapes:
    """Each geometry in metres east and north about its own origin: distance and azimuth of every vertex on
    the ellipsoid, which is the azimuthal equidistant projection. One call for all of them; a PROJ
    transformer would be built for each, at 5 ms."""
    shapes = np.array(geometries, dtype=object)
    coordinates = shapely.get_coordinates(shapes)
    lon, lat = np.repeat(origins, shapely.get_num_coordinates(shapes), axis=0).T
    azimuth, _, distance = WGS84.inv(lon, lat, *coordinates.T)
    angle = np.radians(azimuth)
    flat = np.column_stack([distance * np.sin(angle), distance * np.cos(angle)])
    return shapely.set_coordinates(shapely.force_2d(shapes), flat)


def _middles(geometries: Geometries) -> Floats:
    """Longitude and latitude (shape, 2) near the centres: the means of the vertices on the sphere."""
    shapes = np.array(geometries, dtype=object)
    lon, lat = np.radians(shapely.get_coordinates(shapes)).T
    counts = shapely.get_num_coordinates(shapes)
    owner = np.repeat(np.arange(len(shapes)), counts)
    x, y, z = (
        np.bincount(owner, part, len(shapes)) / np.maximum(counts, 1)
        for part in (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    )
    return np.degrees(np.column_stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))]))


def utm_epsg(lon: float, lat: float) -> int:
    """EPSG code of the WGS 84 UTM zone at a place, with the exceptions of Norway and Svalbard."""
    zone = int((lon + 180) // 6) % 60 + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    elif 72 <= lat <= 84 and 0 <= lon < 42:
        zone = 31 + 2 * int((lon + 3) // 12)
    return (32600 if lat >= 0 else 32700) + zone


@lru_cache(maxsize=512)
def _transformer(source: int, target: int) -> Transformer:
    """PROJ takes milliseconds to build one; pyproj gives each thread a copy of its own."""
    return Transformer.from_crs(source, target, always_xy=True)


def project(geometry: BaseGeometry, source: int, target: int) -> BaseGeometry:
    """A geometry in another CRS, vertex by vertex."""
    transformer = _transformer(source, target)
    return shapely.transform(geometry, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def project_each(geometries: Geometries, source: Any, target: Any) -> Shapes:
    """Geometries in other CRS, vertex by vertex; `source` and `target` are an EPSG code each, or one for
    each geometry."""
    shapes = np.array(geometries, dtype=object)
    codes = np.column_stack([np.broadcast_to(code, len(shapes)) for code in (source, target)])
    for pair in np.unique(codes, axis=0):
        own = (codes == pair).all(axis=1)
        shapes[own] = project(shapes[own], *map(int, pair))
    return shapes


def distance_m(a: BaseGeometry, b: BaseGeometry) -> float:
    """Shortest distance between two geometries in EPSG:4326, metres."""
    return float(distances_m([a], [b])[0])


def distances_m(first: Geometries, second: Geometries) -> Floats:
    """Shortest distances between geometries of two lists, pair by pair, metres."""
    origins = _middles(first)
    return np.asarray(shapely.distance(_on_planes(first, origins), _on_planes(second, origins)))


def near_pairs(geometries: Geometries, within_m: float) -> Iterator[tuple[int, int]]:
    """Index pairs i < j of geometries at most `within_m` apart; touching ones are 0 apart, and empty ones
    near none."""
    every = np.array(geometries, dtype=object)
    places = np.flatnonzero(~shapely.is_empty(every))
    shapes = every[places]
    if not len(shapes):
        return
    boxes = _boxes(shapes, within_m)
    shifted = [np.asarray(shapely.box(*np.add(boxes, (lon, 0, lon, 0)).T)) for lon in (-360, 0, 360)]
    tree = shapely.STRtree(shifted[1])
    found = np.hstack([tree.query(there, predicate="intersects") for there in shifted]).T
    pairs = np.unique(np.sort(found[found[:, 0] != found[:, 1]], axis=1), axis=0)
    parts = np.array_split(pairs, max(1, len(pairs) // AT_ONCE))
    # Threads, because PROJ and GEOS work outside of Python's lock.
    with ThreadPoolExecutor(cores.count()) as pool:
        measured = pool.map(lambda part: distances_m(shapes[part[:, 0]], shapes[part[:, 1]]), parts)
        for part, distances in zip(parts, measured, strict=True):
            yield from map(tuple, places[part[distances <= within_m]].tolist())


AT_ONCE = 2_000
"""Pairs that are measured together."""


def _boxes(shapes: Shapes, margin_m: float) -> Floats:
    """Bounds (shape, 4) grown by a margin; east of 180 where a geometry crosses the antimeridian."""
    lon, lat = shapely.get_coordinates(shapes).T
    starts = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(shapes))[:-1]])
    middle = np.repeat(_middles(shapes)[:, 0], shapely.get_num_coordinates(shapes))
    lon = middle + (lon - middle + 180) % 360 - 180
    up = margin_m / 1000 / KM_A_DEGREE * 1.02 + 1e-9
    farthest = np.minimum(89.0, np.maximum.reduceat(np.abs(lat), starts) + up)
    across = up / np.maximum(0.01, np.cos(np.radians(farthest)))
    west, east = np.minimum.reduceat(lon, starts) - across, np.maximum.reduceat(lon, starts) + across
    south, north = np.minimum.reduceat(lat, starts) - up, np.maximum.reduceat(lat, starts) + up
    return np.column_stack([west, south, east, north])


def groups(count: int, pairs: Iterator[tuple[int, int]]) -> list[list[int]]:
    """Connected components of 0..count-1 under `pairs`, each sorted, in order of first member."""
    # Here and not above: most that need a place need no graph, and SciPy's take a third of a second.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    linked = np.array(list(pairs), int).reshape(-1, 2)
    ones = np.ones(len(linked), bool)
    graph = coo_array((ones, (linked[:, 0], linked[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    members: dict[int, list[int]] = {}
    for i, label in enumerate(labels.tolist()):
        members.setdefault(label, []).append(i)
    return list(members.values())


def to_lonlat(geometry: BaseGeometry, epsg: int) -> BaseGeometry:
    """A UTM polygon in EPSG:4326, split at the antimeridian where it crosses it."""
    lonlat: BaseGeometry = to_lonlat_each([geometry], epsg)[0]
    return lonlat


def to_lonlat_each(geometries: Geometries, epsg: Any) -> Shapes:
    """UTM polygons in EPSG:4326, each split at the antimeridian where it crosses it; `epsg` is one code,
    or one for each."""
    lonlat = project_each(geometries, epsg, 4326)
    left, _, right, _ = shapely.bounds(lonlat).T
    for i in np.flatnonzero(right - left >= 180):
        parts = getattr(lonlat[i], "geoms", [lonlat[i]])
        lonlat[i] = shapely.union_all([antimeridian.fix_polygon(part, fix_winding=True) for part in parts])
    return lonlat


def area_km2(geometry: BaseGeometry) -> float:
    """Area of a geometry in EPSG:4326 on the ellipsoid."""
    return abs(WGS84.geometry_area_perimeter(shapely.force_2d(geometry))[0]) / 1e6
