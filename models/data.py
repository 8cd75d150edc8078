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
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.errors import InputError, WorkError
from models.masks import UNKNOWN, change_label

TASKS = ("pairs", "series")


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
    """One site's open arrays; see `pipeline.cube` for the store. `change` is there where change itself
    was labelled, with the place of each pair of periods in it."""

    pixels: zarr.Array
    clear: zarr.Array
    mine: zarr.Array
    periods: list[str]
    bands: list[str]
    change: zarr.Array | None
    pairs: dict[tuple[str, str], int]


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
                change = arrays.get("change")
                listed = change.attrs["pairs"] if change is not None else []
                pairs = {(str(a), str(b)): i for i, (a, b) in enumerate(listed)}
                self.opened[site_id] = Cube(
                    pixels, arrays["clear"], arrays["mine"], periods, bands, change, pairs
                )
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

    def label(self, tile: Any, t1: str, t2: str) -> NDArray[np.uint8]:
        """Change label (y, x) of a pair in {0, 1, 255}: as drawn, or where exactly one of the two
        footprint masks is set; 255 also where either date shows nothing clear, and in the padding."""
        cube = self.cube(tile.site_id)
        dates = [cube.periods.index(t1), cube.periods.index(t2)]
        y, x = slice(tile.y0, tile.y0 + tile.height), slice(tile.x0, tile.x0 + tile.width)
        if cube.change is None:
            label = change_label(*(np.asarray(cube.mine[date, y, x]) for date in dates))
        elif (t1, t2) in cube.pairs:
            label = np.array(cube.change[cube.pairs[t1, t2], y, x])
        else:
            raise WorkError(f"{tile.site_id} has no label for {t1} to {t2}: run `minebench annotate`.")
        for date in dates:
            label[np.asarray(cube.clear[date, y, x]) == 0] = UNKNOWN
        return np.pad(label, ((0, tile.pad_y), (0, tile.pad_x)), constant_values=UNKNOWN)

    def window(
        self, site_id: str, date: int, y0: int, x0: int, height: int, width: int, beyond: str
    ) -> NDArray[Any]:
        """Pixels (band, y, x) of any window; beyond the site's edge they are its mirror image, or 0
        with `beyond` "nodata"."""
        pixels = self.cube(site_id).pixels
        rows, columns = pixels.shape[2:]
        y, x = slice(max(y0, 0), min(y0 + height, rows)), slice(max(x0, 0), min(x0 + width, columns))
        inside = np.asarray(pixels[date, :, y, x])
        margin = ((0, 0), (y.start - y0, y0 + height - y.stop), (x.start - x0, x0 + width - x.stop))
        if beyond == "nodata":
            return np.pad(inside, margin)
        return np.pad(inside, margin, mode="symmetric")

    def neighbourhood(self, tile: Any, date: int, beyond: str) -> NDArray[np.float32]:
        """The 3x3 tiles around and with a tile, reduced to its size by block means of the pixels with
        data: (band, y, x) in stored numbers, 0 where there is none."""
        height, width = tile.height + tile.pad_y, tile.width + tile.pad_x
        corner = tile.y0 - height, tile.x0 - width
        wide = self.window(tile.site_id, date, *corner, 3 * height, 3 * width, beyond)
        blocks = wide.reshape(len(wide), height, 3, width, 3).astype(np.float32)
        has_data = (blocks > 0).any(axis=0)
        count = has_data.sum(axis=(1, 3))
        total = (blocks * has_data).sum(axis=(2, 4))
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)


class Pairs(Dataset[dict[str, Any]]):
    """Pairs of dates: `a`, `b` (C, H, W) float32, `label` (H, W) uint8 in {0, 1, 255}, `tile_id`,
    `t1`, `t2`. A label is 1 where exactly one of the two footprint masks is set, or as drawn.

    With `neighbours` (how the recipe continues a site beyond its edge) items also have `a_context` and
    `b_context` (C, H, W): the 3x3 neighbourhood of the tile, reduced to its size.
    """

    def __init__(
        self,
        cubes: Cubes,
        tiles: pd.DataFrame,
        pairs: pd.DataFrame,
        scale: Scale,
        neighbours: str | None = None,
    ) -> None:
        self.cubes, self.pairs, self.scale = cubes, pairs.reset_index(drop=True), scale
        self.neighbours = neighbours
        self.tiles = {tile.tile_id: tile for tile in tiles.itertuples()}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair: Any = self.pairs.iloc[index]
        tile = self.tiles[pair.tile_id]
        dates = self.dates(tile, pair)
        pixels, _ = self.cubes.read(tile, dates)
        label = self.cubes.label(tile, pair.t1, pair.t2)
        return {
            **self.scaled(pixels),
            "label": torch.from_numpy(label),
            **self.context(tile, dates),
            **names(pair),
        }

    def dates(self, tile: Any, pair: Any) -> list[int]:
        periods = self.cubes.periods(tile.site_id)
        return [periods.index(pair.t1), periods.index(pair.t2)]

    def scaled(self, pixels: NDArray[Any]) -> dict[str, Tensor]:
        """Two images (2, C, H, W) in stored numbers as `a` and `b`."""
        a, b = torch.from_numpy(self.scale.apply(pixels))
        return {"a": a, "b": b}

    def context(self, tile: Any, dates: list[int]) -> dict[str, Tensor]:
        if self.neighbours is None:
            return {}
        around = np.stack([self.cubes.neighbourhood(tile, date, self.neighbours) for date in dates])
        found = self.scaled(around)
        return {"a_context": found["a"], "b_context": found["b"]}


def names(pair: Any) -> dict[str, str]:
    return {"tile_id": pair.tile_id, "t1": pair.t1, "t2": pair.t2}


class AnalysisPairs(Pairs):
    """Pairs of an analysis set (index/analysis): each row is a window of its own with what is done to
    it. Items are those of `Pairs`, and `level`. Only a row's region counts, where it names one: the
    rest of the label is 255. A scale reduces both images by block means and enlarges them again
    (bilinear). A shift (dy, dx) moves the second image's content by so many pixels; what comes in at
    the edge is the site's own, or its mirror image."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        row: Any = self.pairs.iloc[index]
        dates = self.dates(row, row)
        pixels, _ = self.cubes.read(row, dates)
        if getattr(row, "dy", 0) or getattr(row, "dx", 0):
            pixels = np.stack([pixels[0], self._moved(row, dates[1])])
        scale = int(getattr(row, "scale", 1))
        item = {key: rescaled(image, scale) for key, image in self.scaled(pixels).items()}
        label = only_region(self.cubes.label(row, row.t1, row.t2), row)
        around = self.context(row, dates)
        return {**item, "label": torch.from_numpy(label), **around, **names(row), "level": row.level}

    def _moved(self, row: Any, date: int) -> NDArray[Any]:
        shape = row.height + row.pad_y, row.width + row.pad_x
        if row.pad_y or row.pad_x:
            pixels, _ = self.cubes.read(row, [date])
            return np.roll(pixels[0], (row.dy, row.dx), axis=(1, 2))
        return self.cubes.window(row.site_id, date, row.y0 - row.dy, row.x0 - row.dx, *shape, "mirror")


def rescaled(image: Tensor, scale: int) -> Tensor:
    """(C, H, W) reduced by `scale` and enlarged to its size again."""
    if scale == 1:
        return image
    size = (max(1, image.shape[1] // scale), max(1, image.shape[2] // scale))
    small = F.interpolate(image[None], size=size, mode="area")
    return F.interpolate(small, size=image.shape[1:], mode="bilinear", align_corners=False)[0]


def only_region(label: NDArray[np.uint8], row: Any) -> NDArray[np.uint8]:
    """The label with everything but the row's region unknown; all of it where the row has none."""
    if not hasattr(row, "region_size"):
        return label
    kept = np.full_like(label, UNKNOWN)
    y, x, size = int(row.region_y), int(row.region_x), int(row.region_size)
    kept[y : y + size, x : x + size] = label[y : y + size, x : x + size]
    return kept


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


ANALYSES = ("neighbourhood", "scale", "object_size", "misregistration")


def open(
    benchmark_dir: Path | str,
    task: str = "pairs",
    split: str = "train",
    scale: Scale | None = None,
    *,
    neighbours: bool | None = None,
    fold: str | None = None,
    analysis: str | None = None,
    level: str | None = None,
) -> Pairs | Series:
    """A split of the benchmark in `benchmark_dir` (data/<name>) as a Dataset of `task` "pairs" or
    "series". Without `scale` images are standardised by the training split's statistics.

    `neighbours` adds the 3x3 neighbourhood to pairs; without a word the recipe decides. `fold` takes
    another split by site from index/folds: "kfold/0" or "country/DEU". `analysis` takes a set of
    index/analysis over the test split instead, and `level` one of its levels. InputError where a word
    is unknown or nothing is left.
    """
    benchmark_dir = Path(benchmark_dir)
    if task not in TASKS:
        raise InputError(f"'{task}' is not a task; choose one of {', '.join(TASKS)}.")
    tiles = read_table(benchmark_dir, "tiles")
    wanted = tiles.attrs.get("neighbours", False) if neighbours is None else neighbours
    beyond = _beyond(benchmark_dir, tiles) if wanted else None
    if fold is not None:
        tiles = folded(benchmark_dir, tiles, fold)
    chosen = tiles[tiles.split == split]
    if chosen.empty:
        raise InputError(
            f"{benchmark_dir} has no tiles in split '{split}'; splits: {', '.join(tiles.split.unique())}."
        )
    cubes = Cubes(benchmark_dir)
    scale = scale or training_scale(cubes, tiles)
    if analysis is not None:
        return AnalysisPairs(cubes, chosen, analysis_rows(benchmark_dir, analysis, level), scale, beyond)
    if task == "series":
        return Series(cubes, chosen, scale)
    pairs = read_table(benchmark_dir, "pairs")
    return Pairs(cubes, chosen, pairs[pairs.tile_id.isin(chosen.tile_id)], scale, beyond)


def _beyond(benchmark_dir: Path, tiles: pd.DataFrame) -> str:
    """How the recipe continues a site beyond its edge. InputError where tiles have no neighbours."""
    beyond = str(tiles.attrs.get("beyond", "none"))
    if beyond == "none":
        raise InputError(f"The tiles of {benchmark_dir} came without a place: they have no neighbours.")
    return beyond


def folded(benchmark_dir: Path, tiles: pd.DataFrame, fold: str) -> pd.DataFrame:
    """The tiles with the splits of a fold, "scheme/fold". InputError names the folds there are."""
    folds = read_table(benchmark_dir, "folds")
    known = folds.scheme + "/" + folds.fold
    own = folds[known == fold]
    if own.empty:
        listed = ", ".join(known.unique()[:12]) or "none"
        raise InputError(f"{benchmark_dir} has no fold '{fold}'; folds: {listed}.")
    return tiles.assign(split=tiles.site_id.map(dict(zip(own.site_id, own.split, strict=True))))


def analysis_rows(benchmark_dir: Path, analysis: str, level: str | None) -> pd.DataFrame:
    """Rows of an analysis set. InputError where there is no such set or level."""
    if analysis not in ANALYSES:
        raise InputError(f"'{analysis}' is not an analysis set; choose one of {', '.join(ANALYSES)}.")
    rows = read_table(benchmark_dir, f"analysis/{analysis}")
    chosen = rows if level is None else rows[rows.level == level]
    if chosen.empty:
        levels = ", ".join(rows.level.unique()) or "it is empty for this benchmark"
        raise InputError(f"The analysis set {analysis} has nothing at level '{level}'; levels: {levels}.")
    return chosen


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
