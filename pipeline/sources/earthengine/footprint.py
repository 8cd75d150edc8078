"""The ground that Earth Engine says an image covers."""

import json
from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry


def touches(geometry: Mapping[str, Any] | None, area: BaseGeometry) -> bool:
    """Whether an image of this footprint may have pixels of the area. One without bounds, or without a
    footprint that can be read, may: its bands' grids tell."""
    if not geometry or _is_unbounded(geometry):
        return True
    try:
        outline = shapely.geometry.shape(dict(geometry))
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError):
        return True
    # A ring has no inside, and a polygon may cross itself.
    ground = shapely.Polygon(outline) if isinstance(outline, shapely.LinearRing) else outline
    return bool(shapely.make_valid(ground).intersects(area))


def _is_unbounded(geometry: Mapping[str, Any]) -> bool:
    """Whether a coordinate is infinite: JSON has no such number, and Earth Engine writes it as a word."""
    text = json.dumps(geometry)
    return "Infinity" in text or "NaN" in text
