"""Distances and centres on the globe, right across the antimeridian and at high latitude."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import antimeridian
import numpy as np
import shapely
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

WGS84 = Geod(ellps="WGS84")
KM_A_DEGREE = 111.0


def centre(geometry: BaseGeometry) -> tuple[float, float]:
    """Longitude and latitude of a geometry's centroid."""
    local = around(geometry)
    lon, lat = project(project(geometry, 4326, local).centroid, local, 4326).coords[0]
    return float(lon), float(lat)


def _middle(geometry: BaseGeometry) -> tuple[float, float]:
    """Longitude and latitude near the centre: the mean of the vertices on the sphere."""
    points = np.radians(shapely.get_coordinates(geometry))
    lon, lat = points[:, 0], points[:, 1]
    x, y = (np.cos(lat) * np.cos(lon)).mean(), (np.cos(lat) * np.sin(lon)).mean()
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(np.sin(lat).mean(), math.hypot(x, y)))


def utm_epsg(lon: float, lat: float) -> int:
    """EPSG code of the WGS 84 UTM zone at a place, with the exceptions of Norway and Svalbard."""
    zone = int((lon + 180) // 6) % 60 + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    elif 72 <= lat <= 84 and 0 <= lon < 42:
        zone = 31 + 2 * int((lon + 3) // 12)
    return (32600 if lat >= 0 else 32700) + zone


@lru_cache(maxsize=512)
def _transformer(source: str | int, target: str | int) -> Transformer:
    """PROJ takes milliseconds to build one; pyproj gives each thread a copy of its own."""
    return Transformer.from_crs(source, target, always_xy=True)


def project(geometry: BaseGeometry, source: str | int, target: str | int) -> BaseGeometry:
    """A geometry in another CRS, vertex by vertex."""
    transformer = _transformer(source, target)
    return shapely.transform(geometry, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def around(geometry: BaseGeometry) -> str:
    """A local CRS in metres about the geometry (azimuthal equidistant)."""
    lon, lat = _middle(geometry)
    return f"+proj=aeqd +lat_0={lat!r} +lon_0={lon!r} +datum=WGS84 +units=m"


def distance_m(a: BaseGeometry, b: BaseGeometry) -> float:
    """Shortest distance between two geometries in EPSG:4326, metres."""
    local = around(a)
    return float(project(a, 4326, local).distance(project(b, 4326, local)))


def near_pairs(geometries: Sequence[BaseGeometry], within_m: float) -> Iterator[tuple[int, int]]:
    """Index pairs i < j of geometries at most `within_m` apart; touching ones are 0 apart."""
    boxes = np.array([_box(geometry, within_m) for geometry in geometries])
    if not len(boxes):
        return
    shifted = [shapely.box(*np.add(boxes, [lon, 0, lon, 0]).T) for lon in (-360, 0, 360)]
    tree = shapely.STRtree(shifted[1])
    found = {
        (min(i, j), max(i, j))
        for boxes_there in shifted
        for i, j in tree.query(boxes_there, predicate="intersects").T.tolist()
        if i != j
    }
    for i, j in sorted(found):
        if distance_m(geometries[i], geometries[j]) <= within_m:
            yield i, j


def _box(geometry: BaseGeometry, margin_m: float) -> tuple[float, float, float, float]:
    """Bounds grown by a margin; east of 180 where the geometry crosses the antimeridian."""
    lon, lat = shapely.get_coordinates(geometry).T
    middle = _middle(geometry)[0]
    lon = middle + (lon - middle + 180) % 360 - 180
    up = margin_m / 1000 / KM_A_DEGREE * 1.02 + 1e-9
    across = up / max(0.01, math.cos(math.radians(min(89.0, abs(lat).max() + up))))
    return lon.min() - across, lat.min() - up, lon.max() + across, lat.max() + up


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
    lonlat = project(geometry, epsg, 4326)
    left, _, right, _ = lonlat.bounds
    if right - left < 180:
        return lonlat
    parts = getattr(lonlat, "geoms", [lonlat])
    return shapely.union_all([antimeridian.fix_polygon(part, fix_winding=True) for part in parts])


def area_km2(geometry: BaseGeometry) -> float:
    """Area of a geometry in EPSG:4326 on the ellipsoid."""
    return abs(WGS84.geometry_area_perimeter(shapely.force_2d(geometry))[0]) / 1e6
