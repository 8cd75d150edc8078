"""Choose images where UTM zones overlap."""

from collections.abc import Sequence

import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.geo import geodesy


def of_own_zone(grids: Sequence[GeoBox], area: BaseGeometry) -> list[bool]:
    """Return, for the grid of each image, whether a site is read from it; `area` (EPSG:4326) is the site's.

    Near the border of two UTM zones there are images in both. Those in the site's own zone are chosen if they
    cover all of it, since they share the site's CRS. Otherwise all are chosen.
    """
    zone = geodesy.utm_epsg(*geodesy.centre(area))
    in_zone = [grid.crs == f"EPSG:{zone}" for grid in grids]
    outlines = [
        grid.extent.to_crs("EPSG:4326").geom for grid, is_in in zip(grids, in_zone, strict=True) if is_in
    ]
    return in_zone if shapely.union_all(outlines).covers(area) else [True] * len(grids)
