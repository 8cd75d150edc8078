"""Spikes of polygons: thin parts that stick out, as slips while digitising leave them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minebench import cores
from pipeline.geo import geodesy

SLENDER = 10
"""A spike is more than so many times as long as it is wide."""
NEAR_M = 1e-3
"""What lies nearer than this touches."""
MITRE = 2 * SLENDER
"""Ratio up to which corners come back sharp when an eroded shape is grown again: those that are no spikes."""
AT_ONCE = 500
"""Mines that are eroded together."""


def without(parts: Sequence[BaseGeometry], mine: Sequence[int], pixel_m: float) -> NDArray[Any]:
    """Return polygons (EPSG:4326) without spikes; those that have none are the same objects.

    A spike is thinner than a pixel, longer than a pixel and than `SLENDER` times its own width, and touches
    the rest of its mine at one place. `mine` says which mine each polygon is of: a repaired one may have its
    spike as a polygon of its own, which becomes empty. What is thin all over stays, and so does a link
    between two parts.
    """
    cut = _array(parts)
    mines, first, of = np.unique(np.asarray(mine), return_index=True, return_inverse=True)
    epsg = np.array([geodesy.utm_epsg(*place) for place in geodesy.centres(cut[first])])[of]
    flat = geodesy.project_each(cut, 4326, epsg)
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    whole = _array([flat[m[0]] if len(m) == 1 else shapely.union_all(flat[m]) for m in members])
    # Threads, because GEOS works outside of Python's lock.
    with ThreadPoolExecutor(cores.count()) as pool:
        runs = np.array_split(whole, len(mines) // AT_ONCE + 1)
        thick = np.concatenate([*pool.map(lambda run: _thick(run, pixel_m), runs)])
    # A spike's two sides are most of its outline: only a shape that lost some may have one.
    shorter = shapely.length(whole) - shapely.length(thick) > pixel_m / 2
    for i in np.flatnonzero(shorter & ~shapely.is_empty(thick)):
        spikes = _spikes(whole[i], thick[i], pixel_m)
        for part in members[i] if spikes else ():
            rest = shapely.difference(flat[part], shapely.union_all(spikes))
            if not rest.equals(flat[part]):
                cut[part] = _lonlat(rest, int(epsg[part]))
    return cut


def _array(shapes: Sequence[BaseGeometry]) -> NDArray[Any]:
    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    return array


def _lonlat(rest: BaseGeometry, epsg: int) -> BaseGeometry:
    """What is left of a polygon in EPSG:4326; hairs that rounding leaves at the cut are not."""
    left = [part for part in shapely.get_parts(rest) if part.area > NEAR_M]
    return geodesy.to_lonlat(shapely.union_all(left), epsg) if left else shapely.Polygon()


def _thick(shapes: NDArray[Any], pixel_m: float) -> NDArray[Any]:
    """Shapes (UTM) without what is thinner than a pixel: eroded by half of one and grown again."""
    radius = 0.499 * pixel_m
    eroded = shapely.buffer(shapes, -radius)
    return np.asarray(shapely.buffer(eroded, radius, join_style="mitre", mitre_limit=MITRE))


def _spikes(shape: BaseGeometry, thick: BaseGeometry, pixel_m: float) -> list[BaseGeometry]:
    """The spikes of a shape (UTM) of which `thick` is what has some width."""
    thin = shapely.difference(shape, shapely.buffer(thick, NEAR_M, join_style="mitre"))
    # Pieces that touch in a point are one.
    reach = shapely.get_parts(shapely.buffer(thin, 2 * NEAR_M, join_style="mitre"))
    found = []
    for piece in reach[~shapely.is_empty(reach)]:
        length = piece.length / 2
        width = shapely.intersection(piece, thin).area / length
        contacts = len(shapely.get_parts(shapely.intersection(piece, thick)))
        if length > max(pixel_m, SLENDER * width) and contacts == 1:
            found.append(shapely.difference(piece, thick))
    return found
