"""UTM zones that overlap: which of several images of a place a site is read from."""

from collections.abc import Sequence

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.geo import geodesy


def of_own_zone(grids: Sequence[GeoBox], area: BaseGeometry) -> list[bool]:
    """Return which images, given by their grids, an area (EPSG:4326) is read from.

    These are the images in the UTM zone that a site of this area lies in, where they cover it: their pixels
    are the site's own. Near a zone's border the neighbour's are there as well. Otherwise all are read.
    """
    zone = geodesy.utm_epsg(*geodesy.centre(area))
    own = [grid.crs == f"EPSG:{zone}" for grid in grids]
    outlines = [
        grid.extent.to_crs("EPSG:4326").geom for grid, is_own in zip(grids, own, strict=True) if is_own
    ]
    return own if shapely.union_all(outlines).covers(area) else [True] * len(grids)
