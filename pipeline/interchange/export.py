"""Command `export`: a benchmark in the layout that somebody's code already reads.

Every layout gets the pairs or footprints of the index, cut from the cubes. Labels of these layouts know
only 0 and 1: a pair of which more than `max_unknown` is unknown is left out, what little is unknown in
the others becomes unchanged, and both are counted. Padding repeats image and label alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.data.cube_windows import Cubes
from pipeline.catalog import dataset_card
from pipeline.core import tables
from pipeline.core.errors import InputError
from pipeline.core.files import replacing
from pipeline.core.layout import Benchmark
from pipeline.core.progress import progress
from pipeline.recipe import Recipe

SPLITS = ("train", "val", "test")
TOP = 4000
"""Reflectance, as a digital number, that 8-bit pictures show as full white; 0 stays 0."""


@dataclass(frozen=True)
class Pair:
    """A tile's two images (band, y, x) in stored numbers and its change label (y, x) in {0, 1, 255},
    padded by repetition."""

    name: str
    tile: Any
    t1: str
    t2: str
    a: NDArray[Any]
    b: NDArray[Any]
    label: NDArray[np.uint8]


@dataclass
class Job:
    """What a layout writes from, and what it counts."""

    benchmark: Benchmark
    recipe: Recipe
    folder: Path
    image: str
    max_unknown: float
    sites: gpd.GeoDataFrame
    tiles: pd.DataFrame
    pairs: pd.DataFrame
    cubes: Cubes
    written: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    made_known: int = 0

    def count(self, split: str) -> None:
        self.written[split] = self.written.get(split, 0) + 1

    def of_split(self, split: str) -> Iterator[Pair]:
        """The split's pairs, tile by tile, those too unknown left out and counted."""
        by_tile = dict(tuple(self.pairs[self.pairs.split == split].groupby("tile_id")))
        for tile in self.tiles[self.tiles.tile_id.isin(list(by_tile))].itertuples():
            for row in by_tile[tile.tile_id].itertuples():
                if row.unknown > self.max_unknown * tile.height * tile.width:
                    self.left_out += 1
                    continue
                self.made_known += int(row.unknown)
                self.count(split)
                yield self._pair(tile, row)

    def _pair(self, tile: Any, row: Any) -> Pair:
        periods = self.cubes.periods(tile.site_id)
        images, _ = self.cubes.read(tile, [periods.index(row.t1), periods.index(row.t2)])
        label = self.cubes.label(tile, row.t1, row.t2)[: tile.height, : tile.width]
        label = np.pad(label, ((0, tile.pad_y), (0, tile.pad_x)), mode="wrap")
        name = f"{tile.tile_id}_{row.t1}_{row.t2}"
        return Pair(name, tile, row.t1, row.t2, images[0], images[1], label)

    def rgb(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """(band, y, x) as an 8-bit picture (y, x, 3): bytes as they are, reflectance 0 to 0.4."""
        shown = pixels[[self.recipe.sensor.bands.index(band) for band in self.recipe.sensor.rgb]]
        return np.ascontiguousarray(np.moveaxis(eight_bit(shown, TOP), 0, -1))


def eight_bit(pixels: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Numbers from 0 to `top` as 0 to 255; bytes stay as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(np.minimum(pixels.astype(np.float32), top) * (255 / top)).astype(np.uint8)


def binary(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label as most layouts keep it: 255 changed, 0 everything else."""
    return np.where(label == 1, 255, 0).astype(np.uint8)


@dataclass(frozen=True)
class Exported:
    """Where an export went and what it holds: items by split, pairs left out for too many unknown
    pixels, and unknown pixels that became unchanged in the others."""

    folder: Path
    written: dict[str, int]
    left_out: int
    made_known: int

    def __str__(self) -> str:
        text = ", ".join(f"{count:,} {split}" for split, count in self.written.items())
        if self.left_out:
            text += f"; {self.left_out:,} pairs left out because too much of them is unknown"
        if self.made_known:
            text += f"; {self.made_known:,} unknown pixels became 0"
        return f"{self.folder} ({text})"


def layouts() -> dict[str, Callable[[Job], None]]:
    """What can be exported to, by name."""
    from pipeline.interchange import to_coco, to_folders, to_minenetcd256, to_oms2cd, to_webdataset

    return {
        "coco": to_coco.write,
        "folders": to_folders.write,
        "minenetcd256": to_minenetcd256.write,
        "oms2cd": to_oms2cd.write,
        "webdataset": to_webdataset.write,
    }


def export(
    benchmark: Benchmark, recipe: Recipe, to: str, folder: Path | None, image: str, max_unknown: float
) -> Exported:
    """Write a benchmark in a layout, whole or not at all. InputError on an unknown layout, a folder that
    exists, or a layout that cannot hold this benchmark."""
    known = layouts()
    if to not in known:
        raise InputError(f"'{to}' is not a layout; choose one of {', '.join(known)}.")
    if image not in {"png", "tif"}:
        raise InputError(f"'{image}' is no image format here; choose png or tif.")
    if not 0 <= max_unknown <= 1:
        raise InputError(f"--max-unknown must be a share from 0 to 1, not {max_unknown:g}.")
    folder = folder or benchmark.data / "export" / to
    if folder.exists():
        raise InputError(f"{folder} exists already: remove it, or name another folder with --out.")
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        job = Job(
            benchmark, recipe, temporary, image, max_unknown,
            tables.read_geo(benchmark.table("sites"), "sites"),
            tables.read(benchmark.table("tiles"), "tile"),
            tables.read(benchmark.table("pairs"), "tile"),
            Cubes(benchmark.data),
        )  # fmt: skip
        known[to](job)
        if not job.written:
            raise InputError(
                f"Every pair of {benchmark.name} is more unknown than {max_unknown:.0%}: "
                "annotate it, or raise --max-unknown."
            )
        dataset_card.beside(benchmark, recipe, temporary)
    return Exported(folder, job.written, job.left_out, job.made_known)


def shown(job: Job, title: str) -> Iterator[tuple[str, Pair]]:
    """All pairs with their split, behind a progress bar."""
    with progress(title, len(job.pairs), "pairs") as advance:
        for split in SPLITS:
            for pair in job.of_split(split):
                yield split, pair
                advance()
