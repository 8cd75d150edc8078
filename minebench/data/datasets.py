"""Datasets over a benchmark's cubes: pairs and series are index rows, pixels are read once stored.

Reads only data/<benchmark>/: index/ and cubes/ (`minebench.cube.windows`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from minebench import receipts
from minebench.cube import encoding
from minebench.cube.windows import Cubes
from minebench.errors import InputError, NotMadeYet, UnknownName
from minebench.files import sha256
from minebench.index import Tile, tiles_of

PICTURES = 2
"""Version of how pictures are read: raise it when the same cubes give models other numbers."""


@dataclass(frozen=True)
class Scale:
    """Standardisation of each band by the training split's clear pixels, in stored numbers."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(..., channel, y, x) to (..., band, y, x) of mean 0 and deviation 1; no data, 0 in all channels,
        becomes 0. Channels are the bands, and alpha of pictures (`minebench.cube.windows`)."""
        shape = (-1, 1, 1)
        colours = pixels[..., : len(self.mean), :, :]
        scaled = (colours - self.mean.reshape(shape)) / self.std.reshape(shape)
        nodata = (pixels == 0).all(axis=-3, keepdims=True)
        return np.where(nodata, 0, scaled).astype(np.float32)


class Selected:
    """The bands that a dataset gives, and what they were standardised with.

    Attributes
    ----------
    bands : list[str]
        Names of the channels of its images, in their order.
    mean, std : numpy.ndarray
        Of each of these bands over the training split's clear pixels, in the cube's stored numbers
        (reflectance by 10,000).
    table : pandas.DataFrame
        One row per item, in the items' order.
    """

    def __init__(
        self, cubes: Cubes, tiles: pd.DataFrame, table: pd.DataFrame, scale: Scale,
        bands: Sequence[str] | None,
    ) -> None:  # fmt: skip
        self.cubes, self.table, self.scale = cubes, table.reset_index(drop=True), scale
        known = cubes.bands(str(tiles.site_id.iloc[0]))
        self.bands = list(known if bands is None else bands)
        if unknown := [band for band in self.bands if band not in known]:
            raise UnknownName(f"There is no band '{unknown[0]}' here; bands: {', '.join(known)}.")
        self.places = None if self.bands == known else [known.index(band) for band in self.bands]
        chosen = slice(None) if self.places is None else self.places
        self.mean, self.std = scale.mean[chosen], scale.std[chosen]

    def standardised(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return stored numbers (..., channel, y, x) as the bands (..., band, y, x) of mean 0 and deviation
        1."""
        images = self.scale.apply(pixels)
        return images if self.places is None else images[..., self.places, :, :]


class Pairs(Selected, Dataset[dict[str, Any]]):
    """Pairs of dates: `a`, `b` (C, H, W) float32, `label` (H, W) uint8 in {0, 1, 255}, `tile_id`,
    `t1`, `t2`. A label is 1 where exactly one of the two footprint masks is set, or as drawn.

    With `neighbours` (how the recipe continues a site beyond its edge) items also have `a_context` and
    `b_context` (C, H, W): the 3x3 neighbourhood of the tile, reduced to its size.
    """

    def __init__(
        self,
        cubes: Cubes,
        listed: pd.DataFrame,
        pairs: pd.DataFrame,
        scale: Scale,
        neighbours: str | None = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        super().__init__(cubes, listed, pairs, scale, bands)
        self.rows: list[Any] = list(self.table.itertuples())
        self.neighbours = neighbours
        self.tiles = {tile.tile_id: tile for tile in tiles_of(listed)}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.rows[index]
        tile = self.tiles[pair.tile_id]
        dates = self.dates(tile, pair)
        pixels, _ = self.cubes.inputs(tile, dates)
        label = self.cubes.label(tile, pair.t1, pair.t2)
        return {
            **self.scaled(pixels),
            "label": torch.from_numpy(label),
            **self.context(tile, dates),
            **names(pair),
        }

    def dates(self, tile: Tile, pair: Any) -> list[int]:
        periods = self.cubes.periods(tile.site_id)
        return [periods.index(pair.t1), periods.index(pair.t2)]

    def scaled(self, pixels: NDArray[Any]) -> dict[str, Tensor]:
        """Two images (2, channel, H, W) in stored numbers as `a` and `b`."""
        a, b = torch.from_numpy(self.standardised(pixels))
        return {"a": a, "b": b}

    def context(self, tile: Tile, dates: list[int]) -> dict[str, Tensor]:
        if self.neighbours is None:
            return {}
        around = np.stack([self.cubes.neighbourhood(tile, date, self.neighbours) for date in dates])
        found = self.scaled(around)
        return {"a_context": found["a"], "b_context": found["b"]}


def names(pair: Any) -> dict[str, str]:
    return {"tile_id": pair.tile_id, "t1": pair.t1, "t2": pair.t2}


class Series(Selected, Dataset[dict[str, Any]]):
    """Whole series of tiles: `images` (T, C, H, W) float32, `masks` (T, H, W) uint8 in {0, 1,
    255}, `tile_id`, `periods`. T differs between sites."""

    def __init__(
        self, cubes: Cubes, listed: pd.DataFrame, scale: Scale, bands: Sequence[str] | None = None
    ) -> None:
        super().__init__(cubes, listed, listed, scale, bands)
        self.tiles = tiles_of(listed)

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Any]:
        tile = self.tiles[index]
        pixels, masks = self.cubes.inputs(tile)
        images = torch.from_numpy(self.standardised(pixels))
        periods = self.cubes.periods(tile.site_id)
        return {
            "images": images,
            "masks": torch.from_numpy(masks),
            "tile_id": tile.tile_id,
            "periods": periods,
        }


def bands_of(benchmark_dir: Path) -> list[str]:
    """The bands of the benchmark's images."""
    return Cubes(benchmark_dir).bands(read_table(benchmark_dir, "tiles").site_id.iloc[0])


def beyond_of(benchmark_dir: Path, listed: pd.DataFrame | None = None) -> str:
    """How the recipe continues a site beyond its edge. InputError where tiles have no neighbours."""
    listed = read_table(benchmark_dir, "tiles") if listed is None else listed
    beyond = str(listed.attrs.get("beyond", "none"))
    if beyond == "none":
        raise InputError(f"The tiles of {benchmark_dir} came without a place: they have no neighbours.")
    return beyond


def folded(benchmark_dir: Path, listed: pd.DataFrame, fold: str) -> pd.DataFrame:
    """The tiles with the splits of a fold, "scheme/fold". InputError names the folds there are."""
    folds = read_table(benchmark_dir, "folds")
    known = folds.scheme + "/" + folds.fold
    own = folds[known == fold]
    if own.empty:
        names = ", ".join(known.unique()) or "none"
        raise UnknownName(f"{benchmark_dir} has no fold '{fold}'; folds: {names}.")
    return listed.assign(split=listed.site_id.map(dict(zip(own.site_id, own.split, strict=True))))


def of_few_sites(listed: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """The tiles of so many sites, drawn by a seed: those of fewer sites are among those of more. InputError
    where there are not so many."""
    names = np.array(sorted(listed.site_id.unique()))
    if count > len(names):
        raise InputError(f"There are {len(names)} sites with labels to train on, not {count}: give fewer.")
    drawn = np.random.default_rng(seed).permutation(names)[:count]
    return listed[listed.site_id.isin(drawn)]


def training_scale(cubes: Cubes, listed: pd.DataFrame, most: int = 64) -> Scale:
    """Mean and deviation of each band over clear pixels of up to `most` training tiles, evenly
    taken from the table, all their dates. The bands of embeddings are all on one scale, and stay on it."""
    train = listed[listed.split == "train"]
    if train.empty:
        raise InputError("The benchmark has no training tiles: raise split.train in its recipe.")
    bands = cubes.bands(train.site_id.iloc[0])
    if cubes.cube(train.site_id.iloc[0]).encoding == encoding.EMBEDDING:
        scale = [np.full(len(bands), value, np.float32) for value in (encoding.ZERO, encoding.SPAN)]
        return Scale(*scale)
    chosen = train.iloc[np.unique(np.linspace(0, len(train) - 1, most).round().astype(int))]
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for tile in tiles_of(chosen):
        pixels, _ = cubes.inputs(tile)
        values = np.moveaxis(pixels, 1, 0).reshape(pixels.shape[1], -1)
        # Of pictures alpha tells; other pixels have data where no band is 0.
        has_data = (values[len(bands) :] if len(values) > len(bands) else values).all(axis=0)
        values = values[: len(bands), has_data].astype(np.float64)
        count += values.shape[1]
        total, squares = total + values.sum(axis=1), squares + (values**2).sum(axis=1)
    if not count:
        raise InputError("No training tile has a single clear pixel.")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return Scale(mean.astype(np.float32), std.astype(np.float32))


def key_of(benchmark_dir: Path) -> str:
    """The key of the benchmark's index: of its cubes' images and masks, its tiles, pairs and splits, and of
    how pictures are read."""
    path = Path(benchmark_dir) / "index" / "tiles.parquet"
    key = receipts.key_in(path) or sha256(path.with_name("pairs.parquet"))
    return f"{key} {PICTURES}" if _has_pictures(Path(benchmark_dir)) else key


def _has_pictures(benchmark_dir: Path) -> bool:
    """Whether its images are pictures; False where there are no cubes."""
    return next((benchmark_dir / "cubes").glob("*.zarr/image"), None) is not None


def read_table(benchmark_dir: Path, name: str) -> pd.DataFrame:
    """A table of the benchmark's index; WorkError where it is missing."""
    path = Path(benchmark_dir) / "index" / f"{name}.parquet"
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: run `minebench tile` first.")
    return pd.read_parquet(path)
