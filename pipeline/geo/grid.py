"""One grid per site: a GeoBox in UTM, corners on multiples of the sensor's coarsest pixel.

GeoBoxes carry all affine arithmetic; here is only where a site's corners go.
"""

import math
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox, pixel_translation

TOUCHING = 1e-6
"""Pixels: how far two grids may lie beside one another and still be the same."""


def snapped(bounds: tuple[float, float, float, float], epsg: int, resolution: float, step: float) -> GeoBox:
    """The smallest GeoBox around `bounds` (left, bottom, right, top, metres) with corners on multiples
    of `step`."""
    coarse = GeoBox.from_bbox(bounds, f"EPSG:{epsg}", resolution=step, anchor="edge", tol=TOUCHING)
    return coarse.zoom_out(resolution / step)


def around(
    middle: tuple[float, float], width: float, height: float, epsg: int, resolution: float, step: float,
    corner: float, exact: bool,
) -> GeoBox:  # fmt: skip
    """A GeoBox of a given size about a place, its corners on multiples of `step`, moved by `corner`.

    The number of pixels depends on the size alone, not on where the place falls on the grid; the
    edges may so move by half a step of the grid. With `exact` a step is added, so that nothing of
    the size is lost.
    """
    columns, rows = (math.ceil(size / step - 1e-6) + exact for size in (width, height))
    left = round((middle[0] - columns * step / 2 - corner) / step) * step + corner
    top = round((middle[1] + rows * step / 2 - corner) / step) * step + corner
    shape = round(rows * step / resolution), round(columns * step / resolution)
    return geobox(epsg, left, top, *shape, resolution)


def geobox(epsg: int, left: float, top: float, height: int, width: int, resolution: float) -> GeoBox:
    """North-up GeoBox from its upper left corner (metres) and its shape in pixels."""
    return GeoBox((height, width), Affine(resolution, 0, left, 0, -resolution, top), f"EPSG:{epsg}")


def of_site(site: Any, resolution: float) -> GeoBox:
    """A site's GeoBox from its row in `sites`. Imported files keep the grid they came with: their
    pixels may be degrees, and epsg 0 says that they have no place at all."""
    shape = int(site.height), int(site.width)
    across = float(getattr(site, "pixel_x", resolution))
    down = float(getattr(site, "pixel_y", -resolution))
    transform = Affine(across, 0, float(site.left), 0, down, float(site.top))
    return GeoBox(shape, transform, f"EPSG:{int(site.epsg)}" if site.epsg else None)


def ungeoreferenced(sites: Any) -> bool:
    """Whether a benchmark's tiles came as files without a place, so that nothing is near anything."""
    return bool((sites.epsg == 0).any())


def epsg_of(grid: GeoBox) -> int:
    """The EPSG code of a grid that has a place."""
    code = grid.crs.epsg if grid.crs is not None else None
    if code is None:
        raise ValueError(f"A grid in {grid.crs} has no EPSG code.")
    return int(code)


def pixel_m2(box: GeoBox, resolution: float) -> float:
    """Area of a pixel: nominal in metres, by latitude where pixels are degrees."""
    if box.crs is None or not box.crs.geographic:
        return resolution**2
    middle = math.radians(sum(box.boundingbox.range_y) / 2)
    metres = abs(box.resolution.x) * M_A_DEGREE * math.cos(middle), abs(box.resolution.y) * M_A_DEGREE
    return metres[0] * metres[1]


M_A_DEGREE = 111_195.0


def aligned(grid: GeoBox, other: GeoBox) -> bool:
    """Whether pixels of `grid` are pixels of `other`: same CRS, size and a whole-pixel offset."""
    if grid.crs != other.crs or grid.resolution != other.resolution:
        return False
    offset = pixel_translation(grid, other)
    return offset is not None and all(abs(v - round(v)) < TOUCHING for v in offset.xy)


def overlap(grid: GeoBox, other: GeoBox) -> tuple[slice, slice]:
    """The rows and columns of `grid` that `other`, whose pixels are the same, has too."""
    rows, columns = grid.overlap_roi(other, tol=TOUCHING)
    return slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def tile_outline(box: GeoBox, y0: int, x0: int, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a window of a grid, in its CRS."""
    left, bottom, right, top = box[y0 : y0 + height, x0 : x0 + width].boundingbox.bbox
    return left, bottom, right, top
