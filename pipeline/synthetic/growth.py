"""One mine over the years: it starts from its outline, advances, and is reclaimed behind."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt
from shapely.geometry.base import BaseGeometry

from pipeline.synthetic import noise
from pipeline.synthetic.noise import FloatImage, Window

BoolImage = NDArray[np.bool_]
REACH_M = 900
"""No mine changes anything farther than this from its outline."""


@dataclass(frozen=True)
class Mine:
    """A mine's outline (UTM) in `first_year` and the seed of its character."""

    outline: BaseGeometry
    seed: int
    first_year: int

    @property
    def size_m(self) -> float:
        return float(np.sqrt(self.outline.area))

    @property
    def is_coal(self) -> bool:
        return bool(self._chance(1) < 0.35)

    @property
    def heading(self) -> tuple[float, float]:
        """Unit vector (east, north) of its advance."""
        angle = 2 * np.pi * self._chance(2)
        return float(np.cos(angle)), float(np.sin(angle))

    def advance_m(self, when: float) -> float:
        """How far the front has moved since the first year began; some years it rests. `when` is a
        year, its fraction the part of it that has passed."""
        whole = int(when)
        done = sum(self._yearly_m(year) for year in range(self.first_year + 1, whole + 1))
        return min(float(REACH_M - 100), done + (when - whole) * self._yearly_m(whole + 1))

    def _yearly_m(self, year: int) -> float:
        """How far the front moves towards the beginning of a year."""
        yearly = min(75.0, 0.012 * self.size_m + 10 + 32 * self._chance(3))
        step = self._chance(100 + year)
        return yearly * (0.3 + 1.6 * step) if step > 0.2 else 0.0

    def reclaimed_share(self, when: float) -> float:
        """How much of the outline's length, from the back, is green again."""
        if self._chance(4) < 0.35:
            return 0.0
        return min(0.6, (0.012 + 0.035 * self._chance(5)) * (when - self.first_year))

    def _chance(self, what: int) -> float:
        return float(noise.uniform(self.seed, what))


@dataclass(frozen=True)
class MineState:
    """A mine on a grid at one time: `depth` metres inside the footprint's edge (negative
    outside), and where it has been reclaimed."""

    depth: FloatImage
    footprint: BoolImage
    reclaimed: BoolImage


def states(mine: Mine, grid: GeoBox, times: Iterable[float]) -> dict[float, MineState]:
    """The mine on `grid` at each time, in years."""
    window = Window.of(grid)
    distance = _signed_distance(mine.outline, grid)
    east, north = mine.heading
    x, y = mine.outline.centroid.coords[0]
    dx, dy = (window.x - x)[None, :], (window.y - y)[:, None]
    along = (dx * east + dy * north).astype(np.float32)
    facing = np.clip(along / (np.hypot(dx, dy) + 1), -0.2, 1).astype(np.float32)
    spread = 0.15 + 0.85 * np.clip(facing, 0, 1)
    ragged = (noise.fractal(window, 260, mine.seed & 0xFFFF, 3) - 0.5) * 2
    points = shapely.get_coordinates(mine.outline) - [x, y]
    back = float((points @ [east, north]).min())
    length = float((points @ [east, north]).max()) - back
    result: dict[float, MineState] = {}
    for when in times:
        moved = mine.advance_m(when)
        # The first year's edge is the outline itself; what is dug later is ragged.
        depth = moved * spread * (1 + ragged) - distance
        touched = depth > 0
        edge = back + mine.reclaimed_share(when) * length + 0.03 * length * ragged
        reclaimed = touched & (along < edge) if mine.reclaimed_share(when) else np.zeros_like(touched)
        result[when] = MineState(depth, touched & ~reclaimed, reclaimed)
    return result


def _signed_distance(outline: BaseGeometry, grid: GeoBox) -> FloatImage:
    """Metres to the outline: positive outside, negative inside, by pixel centres."""
    rows, columns = _within_reach(outline, grid)
    around = grid.pad(round(REACH_M / grid.resolution.x))[rows, columns]
    inside = rasterize([outline], out_shape=around.shape, transform=around.transform).astype(bool)
    if not inside.any():
        return np.full(grid.shape, np.float32(10 * REACH_M))
    res = grid.resolution.x
    outside_m = distance_transform_edt(~inside) * res - res / 2
    inside_m = distance_transform_edt(inside) * res - res / 2
    signed = np.where(inside, -inside_m, outside_m)
    # Where the grid itself lies in it.
    x, y = ~around.transform * (grid.transform.c, grid.transform.f)
    left, top = round(x), round(y)
    return signed[top : top + grid.height, left : left + grid.width].astype(np.float32)


def _within_reach(outline: BaseGeometry, grid: GeoBox) -> tuple[slice, slice]:
    """Return the rows and columns of the padded grid that hold the grid itself, and the outline with a pixel
    around it. What lies beyond changes no distance."""
    pad = round(REACH_M / grid.resolution.x)
    west, south, east, north = outline.bounds
    corners = [~grid.transform * corner for corner in ((west, north), (east, south))]
    (left, top), (right, bottom) = ((math.floor(x), math.floor(y)) for x, y in corners)
    rows = slice(max(0, pad + min(0, top - 1)), pad + min(max(grid.height, bottom + 2), grid.height + pad))
    columns = slice(max(0, pad + min(0, left - 1)), pad + min(max(grid.width, right + 2), grid.width + pad))
    return rows, columns
