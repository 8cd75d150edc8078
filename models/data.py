"""Datasets over a benchmark's cubes: pairs and series are index rows, pixels are read once stored.

Reads only data/<benchmark>/: index/tiles.parquet, index/pairs.parquet and cubes/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.errors import InputError, WorkError

TASKS = ("pairs", "series")
UNKNOWN = 255


@dataclass(frozen=True)
class Scale:
    """Standardisation of each band by the training split's clear pixels, in stored numbers."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(..., band, y, x) to mean 0 and deviation 1; nodata (0 in all bands) becomes 0."""
        shape = (-1, 1, 1)
        scaled = (pixels - self.mean.reshape(shape)) / self.std.reshape(shape)
        nodata = (pixels == 0).all(axis=-3, keepdims=True)
        return np.where(nodata, 0, scaled).astype(np.float32)


@dataclass(frozen=True)
class Cube:
    """One site's open arrays; see `pipeline.cube` for the store."""

    pixels: zarr.Array
    clear: zarr.Array
    mine: zarr.Array
    periods: list[str]
    bands: list[str]


class Cubes:
    """Opens each of a benchmark's cubes once and reads windows of them."""

    def __init__(self, benchmark_dir: Path) -> None:
        self.folder = Path(benchmark_dir) / "cubes"
        self.opened: dict[str, Cube] = {}

    def cube(self, site_id: str) -> Cube:
        if site_id not in self.opened:
            path = self.folder / f"{site_id}.zarr"
            try:
                group = zarr.open_group(path, mode="r")
                arrays = dict(group.arrays())
                pixels = arrays.get("reflectance", arrays.get("image"))
                bands = [str(band) for band in arrays["band"][:]]
                periods = list(group.attrs["periods"])
                self.opened[site_id] = Cube(pixels, arrays["clear"], arrays["mine"], periods, bands)
            except Exception:
                raise WorkError(f"{path} cannot be read: run `minebench compose` and `annotate`.") from None
        return self.opened[site_id]

    def periods(self, site_id: str) -> list[str]:
        return self.cube(site_id).periods

    def bands(self, site_id: str) -> list[str]:
        return self.cube(site_id).bands

    def read(self, tile: Any, dates: Sequence[int] | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Pixels (date, band, y, x) and masks (date, y, x) of a tile, padded by repetition; all
        dates without `dates`.

        The mask is 255, unknown, where nothing was annotated, where no clear pixel is behind the
        image, and in the padding, so that no pixel counts twice.
        """
        cube = self.cube(tile.site_id)
        y, x = slice(tile.y0, tile.y0 + tile.height), slice(tile.x0, tile.x0 + tile.width)
        dates = range(len(cube.periods)) if dates is None else dates
        pixels = np.stack([np.asarray(cube.pixels[date, :, y, x]) for date in dates])
        masks = np.stack([np.asarray(cube.mine[date, y, x]) for date in dates])
        clear = np.stack([np.asarray(cube.clear[date, y, x]) for date in dates])
        masks[clear == 0] = UNKNOWN
        if tile.pad_y or tile.pad_x:
            padding = ((0, tile.pad_y), (0, tile.pad_x))
            pixels = np.pad(pixels, ((0, 0), (0, 0), *padding), mode="wrap")
            masks = np.pad(masks, ((0, 0), *padding), constant_values=UNKNOWN)
        return pixels, masks


class Pairs(Dataset[dict[str, Any]]):
    """Pairs of dates: `a`, `b` (C, H, W) float32, `label` (H, W) uint8 in {0, 1, 255}, `tile_id`,
    `t1`, `t2`. A label is 1 where exactly one of the two footprint masks is set."""

    def __init__(self, cubes: Cubes, tiles: pd.DataFrame, pairs: pd.DataFrame, scale: Scale) -> None:
        self.cubes, self.pairs, self.scale = cubes, pairs.reset_index(drop=True), scale
        self.tiles = {tile.tile_id: tile for tile in tiles.itertuples()}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair: Any = self.pairs.iloc[index]
        tile = self.tiles[pair.tile_id]
        periods = self.cubes.periods(tile.site_id)
        pixels, masks = self.cubes.read(tile, [periods.index(pair.t1), periods.index(pair.t2)])
        a, b = torch.from_numpy(self.scale.apply(pixels))
        label = torch.from_numpy(change_label(masks[0], masks[1]))
        return {
            "a": a,
            "b": b,
            "label": label,
            "tile_id": pair.tile_id,
            "t1": pair.t1,
            "t2": pair.t2,
        }


class Series(Dataset[dict[str, Any]]):
    """Whole series of tiles: `images` (T, C, H, W) float32, `masks` (T, H, W) uint8 in {0, 1,
    255}, `tile_id`, `periods`. T differs between sites."""

    def __init__(self, cubes: Cubes, tiles: pd.DataFrame, scale: Scale) -> None:
        self.cubes, self.tiles, self.scale = cubes, list(tiles.itertuples()), scale

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Any]:
        tile: Any = self.tiles[index]
        pixels, masks = self.cubes.read(tile)
        images = torch.from_numpy(self.scale.apply(pixels))
        periods = self.cubes.periods(tile.site_id)
        return {
            "images": images,
            "masks": torch.from_numpy(masks),
            "tile_id": tile.tile_id,
            "periods": periods,
        }

    def one_date(self, index: int, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Image (C, H, W) and mask (H, W) of a random date of a tile, or of its last."""
        tile: Any = self.tiles[index]
        count = len(self.cubes.periods(tile.site_id))
        date = int(rng.integers(count)) if rng else count - 1
        pixels, masks = self.cubes.read(tile, [date])
        return torch.from_numpy(self.scale.apply(pixels)[0]), torch.from_numpy(masks[0])


def change_label(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exclusive-or of two footprint masks in {0, 1, 255}; 255 where either is unknown."""
    label = (first != second).astype(np.uint8)
    label[(first == UNKNOWN) | (second == UNKNOWN)] = UNKNOWN
    return label


def open(
    benchmark_dir: Path, task: str = "pairs", split: str = "train", scale: Scale | None = None
) -> Pairs | Series:
    """A split of the benchmark in `benchmark_dir` (data/<name>) as a Dataset of `task` "pairs" or
    "series". Without `scale` images are standardised by the training split's statistics.
    InputError where the task or the split is unknown or the split is empty."""
    if task not in TASKS:
        raise InputError(f"'{task}' is not a task; choose one of {', '.join(TASKS)}.")
    tiles = read_table(benchmark_dir, "tiles")
    chosen = tiles[tiles.split == split]
    if chosen.empty:
        raise InputError(
            f"{benchmark_dir} has no tiles in split '{split}'; splits: {', '.join(tiles.split.unique())}."
        )
    cubes = Cubes(benchmark_dir)
    scale = scale or training_scale(cubes, tiles)
    if task == "series":
        return Series(cubes, chosen, scale)
    pairs = read_table(benchmark_dir, "pairs")
    return Pairs(cubes, chosen, pairs[pairs.split == split], scale)


def training_scale(cubes: Cubes, tiles: pd.DataFrame, most: int = 64) -> Scale:
    """Mean and deviation of each band over clear pixels of up to `most` training tiles, evenly
    taken from the table, all their dates."""
    train = tiles[tiles.split == "train"]
    if train.empty:
        raise InputError("The benchmark has no training tiles: mend split.train in its recipe.")
    chosen = train.iloc[np.unique(np.linspace(0, len(train) - 1, most).round().astype(int))]
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for tile in chosen.itertuples():
        pixels, _ = cubes.read(tile)
        values = np.moveaxis(pixels, 1, 0).reshape(pixels.shape[1], -1).astype(np.float64)
        values = values[:, (values > 0).all(axis=0)]
        count += values.shape[1]
        total, squares = total + values.sum(axis=1), squares + (values**2).sum(axis=1)
    if not count:
        raise InputError("No training tile has a single clear pixel.")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return Scale(mean.astype(np.float32), std.astype(np.float32))


def read_table(benchmark_dir: Path, name: str) -> pd.DataFrame:
    """A table of the benchmark's index; WorkError where it is missing."""
    path = Path(benchmark_dir) / "index" / f"{name}.parquet"
    if not path.is_file():
        raise WorkError(f"{path} is missing: run `minebench tile` first.")
    return pd.read_parquet(path)
