"""One grid per site: a GeoBox in UTM, corners on multiples of the sensor's coarsest pixel."""

import math
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.recipe import Sensor


def snapped(bounds: tuple[float, float, float, float], epsg: int, sensor: Sensor) -> GeoBox:
    """The smallest GeoBox around `bounds` (left, bottom, right, top, metres) on the sensor's grid."""
    step, res = sensor.snap or sensor.resolution, sensor.resolution
    left, bottom = (math.floor(value / step) * step for value in bounds[:2])
    right, top = (math.ceil(value / step) * step for value in bounds[2:])
    return geobox(epsg, left, top, round((top - bottom) / res), round((right - left) / res), res)


def around(
    middle: tuple[float, float], width: float, height: float, epsg: int, sensor: Sensor, exact: bool
) -> GeoBox:
    """A GeoBox of a given size about a place, its corners on the sensor's grid.

    The number of pixels depends on the size alone, not on where the place falls on the grid; the
    edges may so move by half a step of the grid. With `exact` a step is added, so that nothing of
    the size is lost.
    """
    step, res = sensor.snap or sensor.resolution, sensor.resolution
    columns, rows = (math.ceil(size / step - 1e-6) + exact for size in (width, height))
    left = round((middle[0] - columns * step / 2) / step) * step
    top = round((middle[1] + rows * step / 2) / step) * step
    return geobox(epsg, left, top, round(rows * step / res), round(columns * step / res), res)


def geobox(epsg: int, left: float, top: float, height: int, width: int, res: float) -> GeoBox:
    """North-up GeoBox from its upper left corner (metres) and its shape in pixels of `res` metres."""
    return GeoBox((height, width), Affine(res, 0, left, 0, -res, top), f"EPSG:{epsg}")


def of_site(site: Any, resolution: float) -> GeoBox:
    """A site's GeoBox from its row in `sites`. Imported files keep the grid they came with: their
    pixels may be degrees, and epsg 0 says that they have no place at all."""
    shape = int(site.height), int(site.width)
    across = float(getattr(site, "pixel_x", resolution))
    down = float(getattr(site, "pixel_y", -resolution))
    transform = Affine(across, 0, float(site.left), 0, down, float(site.top))
    return GeoBox(shape, transform, f"EPSG:{int(site.epsg)}" if site.epsg else None)


def placeless(sites: Any) -> bool:
    """Whether a benchmark's tiles came as files without a place, so that nothing is near anything."""
    return bool((sites.epsg == 0).any())


def pixel_km2(site: Any, resolution: float) -> float:
    """Area of a site's pixel: nominal in metres, by latitude where pixels are degrees."""
    box = of_site(site, resolution)
    if box.crs is None or not box.crs.geographic:
        return resolution**2 / 1e6
    latitude = box.transform.f + box.transform.e * box.height / 2
    return abs(box.transform.a * box.transform.e) * 111.195**2 * math.cos(math.radians(latitude))


def coarsened(grid: GeoBox, resolution: float) -> GeoBox:
    """The same area in pixels of `resolution` metres, which must divide it."""
    factor = resolution / grid.resolution.x
    return GeoBox(
        (round(grid.height / factor), round(grid.width / factor)),
        grid.transform @ Affine.scale(factor),
        grid.crs,
    )


def aligned(grid: GeoBox, other: GeoBox) -> bool:
    """Whether pixels of `grid` are pixels of `other`: same CRS, size and a whole-pixel offset."""
    if grid.crs != other.crs or grid.resolution != other.resolution:
        return False
    column, row = ~other.transform @ (grid.transform.c, grid.transform.f)
    return abs(column - round(column)) < 1e-6 and abs(row - round(row)) < 1e-6
