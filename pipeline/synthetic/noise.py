"""Smooth noise that depends on place alone: the same metres give the same value in any window."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.geo.grid import epsg_of

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """Pixel centres of a grid, metres: `x` (width,) eastward, `y` (height,) southward."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    zone: int
    """EPSG code; part of every seed, because coordinates repeat from zone to zone."""

    @classmethod
    def of(cls, grid: GeoBox) -> "Window":
        affine, res = grid.transform, grid.resolution.x
        return cls(
            affine.c + (np.arange(grid.width, dtype=np.float64) + 0.5) * res,
            affine.f - (np.arange(grid.height, dtype=np.float64) + 0.5) * res,
            epsg_of(grid),
        )

    def moved(self, east: float, north: float) -> "Window":
        return Window(self.x + east, self.y + north, self.zone)


def mix(*parts: int | NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash of integers (arrays broadcast) to 64 well-mixed bits, by splitmix64's finaliser."""
    state: Any = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        for part in parts:
            state = state ^ np.asarray(part).astype(np.int64).view(np.uint64)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return np.asarray(state)


def uniform(*parts: int | NDArray[np.int64]) -> NDArray[np.float32]:
    """Hash of integers to [0, 1)."""
    return ((mix(*parts) >> np.uint64(40)).astype(np.float32)) / np.float32(1 << 24)


def smooth(window: Window, scale_m: float, seed: int) -> FloatImage:
    """Value noise in [0, 1] (height, width) with features of about `scale_m` metres."""
    column, right = _lattice(window.x / scale_m)
    row, down = _lattice(window.y / scale_m)
    values = uniform(
        window.zone, seed, np.arange(row.min(), row.max() + 2)[:, None],
        np.arange(column.min(), column.max() + 2)[None, :],
    )  # fmt: skip
    i, j = row - row.min(), column - column.min()
    across = values[:, j] * (1 - right) + values[:, j + 1] * right
    return across[i] * (1 - down[:, None]) + across[i + 1] * down[:, None]


def fractal(window: Window, scale_m: float, seed: int, octaves: int = 4) -> FloatImage:
    """Sum of octaves of `smooth`, each half as large and half as strong; mean 0.5."""
    total = np.zeros((len(window.y), len(window.x)), np.float32)
    for octave in range(octaves):
        total += smooth(window, scale_m / 2**octave, seed + octave) * np.float32(0.5 ** (octave + 1))
    return total / np.float32(1 - 0.5**octaves)


def white(window: Window, cell_m: float, seed: int) -> FloatImage:
    """One independent value in [0, 1) for each square cell of `cell_m` metres."""
    column = np.floor(window.x / cell_m).astype(np.int64)[None, :]
    row = np.floor(window.y / cell_m).astype(np.int64)[:, None]
    return uniform(window.zone, seed, row, column)


def _lattice(position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cell index and smoothstep weight of the next cell."""
    cell = np.floor(position)
    t = (position - cell).astype(np.float32)
    return cell.astype(np.int64), t * t * (3 - 2 * t)
