"""Cubes of images as xarray writes them: NetCDF files and Zarr stores with a time, y and x.

A layer is a variable (time, y, x), or one place along the further dimension of a variable (time, band, y, x),
in whatever order. Numbers are those that CF's scale_factor, add_offset and _FillValue make of the stored
ones.
"""

import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  # adds .rio, which reads CF grid mappings
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from minebench.errors import InputError, Unusable
from pipeline.geo import grid as grids
from pipeline.geo import raster

NETCDF, ZARR = (".nc", ".nc4", ".cdf"), (".zarr",)
SIDES = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("northing", "easting"), ("Y", "X"))
"""How dimensions of the ground are called, down and across."""
TIMES = ("time", "t", "date")
REGULAR = 1e-3
"""Share of a pixel by which steps between coordinates may differ."""
MARGIN = 4
"""Pixels around a window that interpolation may look at."""


@dataclass(frozen=True)
class Layer:
    """Where a band is: a variable, and the place along its further dimension; `dtype` is that of the stored
    numbers, and `is_scaled` whether CF's attributes scale them."""

    variable: str
    dimension: str = ""
    place: int = 0
    dtype: str = ""
    is_scaled: bool = False


@dataclass(frozen=True)
class Cube:
    """A cube as described by itself: `times` in their order, `layers` by the words that name them."""

    path: Path
    grid: GeoBox
    times: tuple[datetime, ...]
    layers: dict[str, Layer]
    time_dimension: str
    sides: tuple[str, str]
    is_upside_down: bool

    def read(
        self, words: Sequence[str], moment: int, grid: GeoBox, resampling: Resampling
    ) -> NDArray[np.float32]:
        """Layers at one of the times (layer, y, x) on a grid, NaN where there is no data."""
        rows, columns = _window(self.grid, grid)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return np.full((len(words), *grid.shape), np.nan, np.float32)
        # Opening takes longer than reading: once for all layers.
        with _opened(self.path) as dataset:
            stored = [self._stored(dataset, word, moment, rows, columns) for word in words]
        window = self.grid[rows, columns]
        return np.stack([raster.numbers_onto(pixels, window, grid, resampling) for pixels in stored])

    def _stored(
        self, dataset: xr.Dataset, word: str, moment: int, rows: slice, columns: slice
    ) -> NDArray[np.float32]:
        """A window of a layer (y, x), NaN where there is no data."""
        layer, (down, across) = self.layers[word], self.sides
        found = dataset[layer.variable]
        if layer.dimension:
            found = found.isel({layer.dimension: layer.place})
        if self.time_dimension in found.dims:
            found = found.isel({self.time_dimension: moment})
        if self.is_upside_down:
            found = found.isel({down: slice(None, None, -1)})
        pixels = found.isel({down: rows, across: columns}).transpose(down, across).to_numpy()
        pixels = pixels.astype(np.float32)
        pixels[~np.isfinite(pixels)] = np.nan
        return pixels


def is_cube(path: Path) -> bool:
    """Whether a path is a NetCDF file or a Zarr store, by its name."""
    return path.suffix.lower() in NETCDF + ZARR


def below(path: Path) -> list[Path]:
    """The cubes that a path is or that a folder has, in the order of their names."""
    if is_cube(path):
        return [path]
    return sorted(inner for inner in path.iterdir() if is_cube(inner)) if path.is_dir() else []


def described(path: Path) -> Cube:
    """What a cube is. InputError where it has no time, no regular grid or no CRS."""
    return _described(path, changed_at(path))


def changed_at(path: Path) -> int:
    """When a cube changed last, nanoseconds: of a Zarr store its metadata."""
    files = [path, path / "zarr.json", path / ".zmetadata", path / ".zattrs"]
    return max(file.stat().st_mtime_ns for file in files if file.exists())


@lru_cache(maxsize=256)
def _described(path: Path, _changed_at: int) -> Cube:
    with _opened(path) as dataset:
        sides = next((pair for pair in SIDES if set(pair) <= set(dataset.dims)), None)
        if sides is None:
            names = ", ".join(map(str, dataset.dims))
            raise InputError(f"{path} has the dimensions {names}, of which none are y and x: rename them.")
        moment = _time_of(dataset, path)
        across, down = _steps(dataset, sides[1], path), _steps(dataset, sides[0], path)
        grid, is_upside_down = _grid(dataset, sides, across, down, path)
        times = tuple(_noon(pd.Timestamp(value)) for value in np.atleast_1d(dataset[moment].to_numpy()))
        layers = _layers(dataset, moment, sides)
        if not layers:
            raise InputError(f"{path} has no variable over {moment}, {sides[0]} and {sides[1]}.")
        return Cube(path, grid, times, layers, moment, sides, is_upside_down)


@contextmanager
def _opened(path: Path) -> Iterator[xr.Dataset]:
    """Yield a cube, read lazily. InputError where xarray cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() in ZARR:
                dataset = xr.open_zarr(path, decode_coords="all", chunks=None)
            else:
                dataset = xr.open_dataset(path, decode_coords="all")
    except (ValueError, OSError, KeyError, ImportError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(". ")
        raise InputError(f"{path} cannot be read by xarray: {said}.") from None
    with dataset:
        try:
            yield dataset
        except (OSError, RuntimeError) as error:
            raise Unusable(f"{path} cannot be read: {str(error)[:200]}.") from None


def _time_of(dataset: xr.Dataset, path: Path) -> str:
    """The coordinate of time: a dimension, or one value for all. InputError where there is none."""
    dated = [str(name) for name, one in dataset.coords.items() if np.issubdtype(one.dtype, np.datetime64)]
    named = [name for name in TIMES if name in dated] + [n for n in dated if n in dataset.dims]
    if not named or dataset[named[0]].ndim > 1:
        raise InputError(
            f"{path} has no coordinate of time: name it time, with CF units such as 'days since 2000-01-01'."
        )
    if np.isnat(dataset[named[0]].to_numpy()).any():
        raise InputError(f"{path}: some of its times are missing.")
    return named[0]


def _steps(dataset: xr.Dataset, name: str, path: Path) -> tuple[float, float]:
    """The first edge of a coordinate and the step to the next. InputError where steps differ."""
    if name not in dataset.coords or dataset.sizes[name] < 2:
        raise InputError(f"{path} has no coordinate {name} with two pixels and more.")
    values = dataset[name].to_numpy().astype(float)
    step = (values[-1] - values[0]) / (len(values) - 1)
    # float32 coordinates in metres are rounded to about 0.5.
    play = max(REGULAR * abs(step), 4 * np.finfo(dataset[name].dtype).eps * np.abs(values).max()) if (
        dataset[name].dtype.kind == "f"
    ) else REGULAR * abs(step)  # fmt: skip
    if not step or np.abs(np.diff(values) - step).max() > play:
        raise InputError(f"{path}: the steps of its coordinate {name} differ; only regular grids are read.")
    # Of a mean of rounded coordinates the intended step: it decides whether pixels are those of a site's
    # grid.
    intended = float(f"{step:.6g}")
    step = intended if abs(step - intended) * len(values) < REGULAR * abs(step) else step
    return values[0] - step / 2, step


def _grid(
    dataset: xr.Dataset,
    sides: tuple[str, str],
    across: tuple[float, float],
    down: tuple[float, float],
    path: Path,
) -> tuple[GeoBox, bool]:
    """The grid with north up, and whether rows are stored from the south."""
    height, width = (dataset.sizes[side] for side in sides)
    if across[1] < 0:
        raise InputError(f"{path}: its coordinate {sides[1]} runs from east to west; sort it.")
    is_upside_down = down[1] > 0
    top = down[0] + down[1] * height if is_upside_down else down[0]
    crs = _crs(dataset, sides)
    if crs is None:
        raise InputError(
            f"{path} has no CRS: assign one with rioxarray (dataset.rio.write_crs('EPSG:32633'))."
        )
    transform = Affine(across[1], 0, across[0], 0, -abs(down[1]), top)
    return GeoBox((height, width), transform, crs), is_upside_down


def _crs(dataset: xr.Dataset, sides: tuple[str, str]) -> str | None:
    """The CRS of CF's grid mapping or of an attribute `crs`; degrees without either are EPSG:4326."""
    if dataset.rio.crs is not None:
        return str(dataset.rio.crs.to_wkt())
    for variable in dataset.data_vars.values():
        if variable.rio.crs is not None:
            return str(variable.rio.crs.to_wkt())
    said = dataset.attrs.get("crs")
    if isinstance(said, str) and said.strip():
        return said
    units = str(dataset[sides[1]].attrs.get("units", ""))
    return "EPSG:4326" if units.startswith("degree") else None


def _layers(dataset: xr.Dataset, moment: str, sides: tuple[str, str]) -> dict[str, Layer]:
    """The layers by the words that name them: those of a variable, and where it has several bands those of
    its further coordinate."""
    found: dict[str, Layer] = {}
    has_times = moment in dataset.dims
    # Zarr lists variables in the order of the file system's entries.
    for key, variable in sorted(dataset.data_vars.items(), key=lambda item: str(item[0])):
        name, further = str(key), [str(d) for d in variable.dims if d not in (*sides, moment)]
        if not set(sides) <= set(variable.dims) or (has_times and moment not in variable.dims):
            continue
        dtype = str(variable.encoding.get("dtype", variable.dtype))
        is_scaled = bool({"scale_factor", "add_offset"} & set(variable.encoding))
        if not further:
            found[name] = Layer(name, dtype=dtype, is_scaled=is_scaled)
        elif len(further) == 1:
            for place, word in enumerate(_words(variable, further[0])):
                word = f"{name}/{word}" if word in found else word
                found[word] = Layer(name, further[0], place, dtype, is_scaled)
    return found


def _words(variable: xr.DataArray, dimension: Hashable) -> list[str]:
    """The names along the dimension of bands: its coordinate's, else those of the attribute `long_name` as
    rioxarray writes it, else their numbers from 1."""
    names = variable.attrs.get("long_name")
    count = variable.sizes[dimension]
    if dimension in variable.coords and variable[dimension].dtype.kind in "UOST":
        return [str(value) for value in variable[dimension].to_numpy()]
    if isinstance(names, list | tuple) and len(names) == count:
        return [str(name) for name in names]
    return [str(number) for number in range(1, count + 1)]


def _noon(moment: pd.Timestamp) -> datetime:
    """A time in UTC; a bare date is noon, as that of a file."""
    found = moment.to_pydatetime(warn=False).replace(tzinfo=UTC)
    return found.replace(hour=12) if found.time() == time() else found


def _window(whole: GeoBox, grid: GeoBox) -> tuple[slice, slice]:
    """Rows and columns of a cube that a grid needs."""
    if grids.aligned(grid, whole):
        return grids.overlap(whole, grid)
    box = grid.extent.to_crs(str(whole.crs)).boundingbox
    left, top = ~whole.affine @ (box.left, box.top)
    right, bottom = ~whole.affine @ (box.right, box.bottom)
    coarser = max(1.0, (right - left) / grid.width, (bottom - top) / grid.height)
    margin = int(np.ceil(MARGIN * coarser))
    height, width = whole.shape
    return (
        slice(max(0, int(top) - margin), min(height, int(np.ceil(bottom)) + margin)),
        slice(max(0, int(left) - margin), min(width, int(np.ceil(right)) + margin)),
    )
