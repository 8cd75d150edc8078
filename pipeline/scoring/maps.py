"""One predicted map as a file, in whichever format: GeoTIFF, PNG, NumPy, or an array of a Zarr."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from minebench.errors import InputError
from pipeline.geo import gdal

RASTERS = (".tif", ".tiff", ".png")
SUFFIXES = (*RASTERS, ".npy")
WHITE = 255
"""What image programs write for 1 in a mask."""
OFF = 0.01
"""How far a grid may lie off, pixels."""
LARGEST_PIECE = 2**29
"""Bytes of a block or chunk."""
Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Map:
    """A map in a file; in a Zarr the array called `array`, at `place` along its first axis. `white` is the
    number that stands for 1."""

    path: Path
    array: str = ""
    place: int = 0
    white: int = 1

    def read(self, window: Slices | None = None) -> NDArray[np.float32]:
        """Probabilities (y, x), whole or of a window."""
        return np.asarray(self._numbers(window), np.float32) / np.float32(self.white)

    def _numbers(self, window: Slices | None) -> NDArray[Any]:
        inside = window or np.s_[:, :]
        if self.array:
            return np.asarray(_opened(self.path)[self.array][(self.place, *inside)])
        if self.path.suffix.lower() == ".npy":
            held = np.load(self.path, mmap_mode="r", allow_pickle=False)
            return np.asarray((held[0] if held.ndim == 3 and len(held) == 1 else held)[inside])
        with rasterio.open(self.path, driver=gdal.driver_of(self.path)) as file:
            return np.asarray(file.read(1, window=Window.from_slices(*window) if window else None))

    def shape(self) -> tuple[int, ...]:
        """Shape (y, x) as the file says it, before a pixel is read."""
        if self.array:
            array = _opened(self.path)[self.array]
            _check_pieces(array.chunks, array.dtype)
            return tuple(array.shape[1:])
        if self.path.suffix.lower() == ".npy":
            shape: tuple[int, ...] = np.load(self.path, mmap_mode="r", allow_pickle=False).shape
            return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
        with _quiet(), rasterio.open(self.path, driver=gdal.driver_of(self.path)) as file:
            _check_pieces(file.block_shapes[0], np.dtype(file.dtypes[0]))
            return (file.height, file.width)


@lru_cache(maxsize=4)
def _opened(path: Path) -> Any:
    return zarr.open_group(path, mode="r")


def checked(found: Map, grid: GeoBox) -> Map:
    """A map that can be scored on a grid. InputError says in a few words what is wrong with it."""
    try:
        if found.path.suffix.lower() in RASTERS:
            _check_place(found.path, grid)
        if (shape := found.shape()) != grid.shape:
            has = " x ".join(map(str, shape))
            raise InputError(f"has {has} pixels, not {grid.shape[0]} x {grid.shape[1]}")
        numbers = found._numbers(None)
    except InputError:
        raise
    except (OSError, ValueError, RasterioError, LookupError, EOFError, MemoryError) as error:
        said = str(error) or type(error).__name__
        raise InputError(f"cannot be read ({said.splitlines()[0].rstrip('.')[:120]})") from None
    return replace(found, white=_white(numbers))


def _check_pieces(shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """InputError where a file is stored in pieces that no map of a site needs: one is decoded whole."""
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST_PIECE:
        has = " x ".join(map(str, shape))
        raise InputError(f"is stored in pieces of {has}, {size / 1e9:,.1f} GB each")


def _check_place(path: Path, grid: GeoBox) -> None:
    """InputError where a raster has several bands, or says that it lies elsewhere."""
    with _quiet(), rasterio.open(path, driver=gdal.driver_of(path)) as file:
        if file.count != 1:
            raise InputError(f"has {file.count} bands, not one")
        if file.crs is None and file.transform.is_identity:
            return
        # Pixels of the grid at which the file's corners lie.
        own = ~grid.transform * file.transform
        if file.crs is not None and grid.crs is not None and file.crs.to_epsg() != grid.crs.to_epsg():
            raise InputError(f"is in {file.crs.to_string()}, not EPSG:{grid.crs.to_epsg()}")
        corners = [own * (x, y) for x, y in ((0, 0), (file.width, file.height))]
        wanted = [(0, 0), (file.width, file.height)]
        off = max(
            abs(a - b) for pair in zip(corners, wanted, strict=True) for a, b in zip(*pair, strict=True)
        )
        if off > OFF:
            raise InputError(f"lies on another grid, up to {off:.2f} pixels off")


def _quiet() -> Any:
    caught = warnings.catch_warnings()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    return caught


def _white(numbers: NDArray[Any]) -> int:
    """The number that stands for 1. InputError where the numbers are neither a mask nor probabilities."""
    if numbers.dtype.kind == "f":
        if np.isnan(numbers).any():
            raise InputError(f"has {int(np.isnan(numbers).sum()):,} pixels that are NaN")
        if numbers.min() < 0 or numbers.max() > 1:
            raise InputError(
                f"has values from {numbers.min():g} to {numbers.max():g}, which are no probabilities"
            )
        return 1
    if numbers.dtype.kind not in "bui":
        raise InputError(f"has values of type {numbers.dtype}, not 0/1 or probabilities")
    values = set(np.unique(numbers).tolist())
    if values <= {0, 1}:
        return 1
    if values <= {0, WHITE} and numbers.dtype == np.uint8:
        return WHITE
    raise InputError(
        f"has whole numbers from {min(values)} to {max(values)}: give masks of 0 and 1, or probabilities "
        "as floating-point numbers"
    )
