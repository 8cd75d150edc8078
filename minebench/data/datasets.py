"""torch Datasets of a benchmark: pairs and series of tiles.

Items are rows of index tables; their pixels are read from the cubes (`minebench.cube.windows`).
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
"""Version of reading pictures: bump when the same cubes give different model inputs."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation per band (band,) of the training split's clear pixels, as in memory."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return standardised pixels.

        Parameters
        ----------
        pixels
            Values in memory (..., channel, y, x); channels are the bands, and alpha for pictures.

        Returns
        -------
        numpy.ndarray
            (..., band, y, x) float32 of mean 0 and standard deviation 1; 0 for nodata, which is 0 in all
            channels.
        """
        shape = (-1, 1, 1)
        colours = pixels[..., : len(self.mean), :, :]
        scaled = (colours - self.mean.reshape(shape)) / self.std.reshape(shape)
        nodata = (pixels == 0).all(axis=-3, keepdims=True)
        return np.where(nodata, 0, scaled).astype(np.float32)


class Selected:
    """The bands of a dataset's images, and the statistics that standardise them.

    Attributes
    ----------
    bands : list[str]
        Names of the images' channels, in order.
    mean, std : numpy.ndarray
        Mean and standard deviation of each of these bands over the training split's clear pixels, in the
        cube's stored numbers (reflectance by 10,000).
    table : pandas.DataFrame
        One row per item, in the items' order.
    """

    def __init__(
        self, cubes: Cubes, tiles: pd.DataFrame, table: pd.DataFrame, scale: Scale,
        bands: Sequence[str] | None,
    ) -> None:  # fmt: skip
        self.cubes, self.table, self.scale = cubes, table.reset_index(drop=True), scale
        cube_bands = cubes.bands(str(tiles.site_id.iloc[0]))
        self.bands = list(cube_bands if bands is None else bands)
        if unknown := [band for band in self.bands if band not in cube_bands]:
            raise UnknownName(f"There is no band '{unknown[0]}' here; bands: {', '.join(cube_bands)}.")
        self.places = None if self.bands == cube_bands else [cube_bands.index(band) for band in self.bands]
        chosen = slice(None) if self.places is None else self.places
        self.mean, self.std = scale.mean[chosen], scale.std[chosen]

    def standardised(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels (..., channel, y, x) as the dataset's bands (..., band, y, x), standardised."""
        images = self.scale.apply(pixels)
        return images if self.places is None else images[..., self.places, :, :]


class Pairs(Selected, Dataset[dict[str, Any]]):
    """Pairs of images of a tile at two dates, with their change label.

    An item is a dict of `a`, `b` (C, H, W) float32, standardised; `label` (H, W) uint8, 0 unchanged, 1
    changed, 255 unknown; `tile_id`, `t1` and `t2`. With `neighbours` it also has `a_context` and `b_context`
    (C, H, W), the 3x3 tiles around and with the tile, reduced to its size.

    Parameters
    ----------
    cubes
        The benchmark's cubes.
    tiles
        Rows of the table `tiles`.
    pairs
        Rows of the table `pairs` for these tiles.
    scale
        Statistics that standardise the images.
    neighbours
        What is beyond a site's edge (`Cubes.window`); None for no neighbourhoods.
    bands
        Names of the bands; default: all.
    """

    def __init__(
        self,
        cubes: Cubes,
        tiles: pd.DataFrame,
        pairs: pd.DataFrame,
        scale: Scale,
        neighbours: str | None = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        super().__init__(cubes, tiles, pairs, scale, bands)
        self.rows: list[Any] = list(self.table.itertuples())
        self.neighbours = neighbours
        self.tiles = {tile.tile_id: tile for tile in tiles_of(tiles)}

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
        """Return the indices of a pair's two periods in the cube."""
        periods = self.cubes.periods(tile.site_id)
        return [periods.index(pair.t1), periods.index(pair.t2)]

    def scaled(self, pixels: NDArray[Any]) -> dict[str, Tensor]:
        """Return two images (2, channel, H, W) as the items `a` and `b` (C, H, W), standardised."""
        a, b = torch.from_numpy(self.standardised(pixels))
        return {"a": a, "b": b}

    def context(self, tile: Tile, dates: list[int]) -> dict[str, Tensor]:
        """Return the items `a_context` and `b_context` (C, H, W); {} without neighbours."""
        if self.neighbours is None:
            return {}
        around = np.stack([self.cubes.neighbourhood(tile, date, self.neighbours) for date in dates])
        images = self.scaled(around)
        return {"a_context": images["a"], "b_context": images["b"]}


def names(pair: Any) -> dict[str, str]:
    """Return the items that identify a row of `pairs`."""
    return {"tile_id": pair.tile_id, "t1": pair.t1, "t2": pair.t2}


class Series(Selected, Dataset[dict[str, Any]]):
    """Time series of tiles with their footprint masks.

    An item is a dict of `images` (T, C, H, W) float32, standardised; `masks` (T, H, W) uint8, 0 background,
    1 mine, 255 unknown; `tile_id` and `periods`. T differs between sites.

    Parameters
    ----------
    cubes
        The benchmark's cubes.
    tiles
        Rows of the table `tiles`.
    scale
        Statistics that standardise the images.
    bands
        Names of the bands; default: all.
    """

    def __init__(
        self, cubes: Cubes, tiles: pd.DataFrame, scale: Scale, bands: Sequence[str] | None = None
    ) -> None:
        super().__init__(cubes, tiles, tiles, scale, bands)
        self.tiles = tiles_of(tiles)

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
    """Return the names of the bands of a benchmark's images."""
    return Cubes(benchmark_dir).bands(read_table(benchmark_dir, "tiles").site_id.iloc[0])


def beyond_of(benchmark_dir: Path, tiles: pd.DataFrame | None = None) -> str:
    """Return what the recipe puts beyond a site's edge, for `Cubes.window`.

    Parameters
    ----------
    benchmark_dir
        The benchmark's folder.
    tiles
        The table `tiles`, if it is read already.

    Raises
    ------
    InputError
        If the tiles have no neighbours.
    """
    tiles = read_table(benchmark_dir, "tiles") if tiles is None else tiles
    beyond = str(tiles.attrs.get("beyond", "none"))
    if beyond == "none":
        raise InputError(f"The tiles of {benchmark_dir} came without a place: they have no neighbours.")
    return beyond


def folded(benchmark_dir: Path, tiles: pd.DataFrame, fold: str) -> pd.DataFrame:
    """Return the table `tiles` with the splits of a fold, such as "kfold/0". UnknownName if there is none."""
    folds = read_table(benchmark_dir, "folds")
    fold_names = folds.scheme + "/" + folds.fold
    rows = folds[fold_names == fold]
    if rows.empty:
        names = ", ".join(fold_names.unique()) or "none"
        raise UnknownName(f"{benchmark_dir} has no fold '{fold}'; folds: {names}.")
    return tiles.assign(split=tiles.site_id.map(dict(zip(rows.site_id, rows.split, strict=True))))


def of_few_sites(tiles: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return the tiles of `count` random sites.

    With the same seed the sites of a smaller count are among those of a larger one. InputError if there are
    fewer than `count` sites.
    """
    site_ids = np.array(sorted(tiles.site_id.unique()))
    if count > len(site_ids):
        raise InputError(f"There are {len(site_ids)} sites with labels to train on, not {count}: give fewer.")
    drawn = np.random.default_rng(seed).permutation(site_ids)[:count]
    return tiles[tiles.site_id.isin(drawn)]


def training_scale(cubes: Cubes, tiles: pd.DataFrame, most: int = 64) -> Scale:
    """Return mean and standard deviation of each band over clear pixels of the training split.

    Embeddings have a fixed scale instead, because their bands share one.

    Parameters
    ----------
    cubes
        The benchmark's cubes.
    tiles
        The table `tiles`.
    most
        Most tiles to read, at all dates; they are evenly spaced in the table.

    Raises
    ------
    InputError
        If the training split has no tiles or no clear pixel.
    """
    train = tiles[tiles.split == "train"]
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
        # Pictures have data where alpha is not 0; other pixels where no band is 0.
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
    """Return the key of a benchmark's data, for checkpoints and scores.

    It changes with the cubes' images and masks, the tiles, pairs and splits, and the reading of pictures.
    """
    path = Path(benchmark_dir) / "index" / "tiles.parquet"
    key = receipts.key_in(path) or sha256(path.with_name("pairs.parquet"))
    return f"{key} {PICTURES}" if _has_pictures(Path(benchmark_dir)) else key


def _has_pictures(benchmark_dir: Path) -> bool:
    """Return whether the benchmark's images are pictures; False if there are no cubes."""
    return next((benchmark_dir / "cubes").glob("*.zarr/image"), None) is not None


def read_table(benchmark_dir: Path, name: str) -> pd.DataFrame:
    """Return an index table of a benchmark. NotMadeYet if it is missing."""
    path = Path(benchmark_dir) / "index" / f"{name}.parquet"
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: run `minebench tile` first.")
    return pd.read_parquet(path)
