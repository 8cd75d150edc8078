"""What every layout writes from: pairs cut from the cubes, and counts of what was left out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import tables
from minebench.cube.windows import Cubes
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from minebench.progress import progress
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

SPLITS = ("train", "val", "test")
TOP = 4000
"""Reflectance, as a digital number, that 8-bit pictures show as full white; 0 stays 0."""


ABOUT_EXPORT = "minebench.json"
"""File of an export: what it was made of, and what its layout has no place for, such as the pixel."""


@dataclass(frozen=True)
class Pair:
    """A tile's two images (band, y, x) in stored numbers and its change label (y, x) in {0, 1, 255},
    padded."""

    name: str
    tile: Tile
    t1: str
    t2: str
    a: NDArray[Any]
    b: NDArray[Any]
    label: NDArray[np.uint8]
    seen: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of pictures where A and B have data (y, x)."""


@dataclass
class Job:
    """What a layout writes from, and what it counts. `licence` is what the whole may be shared under."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    folder: Path
    image: str
    max_unknown: float
    licence: str
    sites: list[Site]
    tiles: pd.DataFrame
    pairs: pd.DataFrame
    cubes: Cubes
    written: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    made_known: int = 0

    def site(self, site_id: str) -> Site:
        return next(site for site in self.sites if site.site_id == site_id)

    def count(self, split: str) -> None:
        self.written[split] = self.written.get(split, 0) + 1

    def of_split(self, split: str) -> Iterator[Pair]:
        """The split's pairs, tile by tile, those too unknown left out and counted."""
        by_tile = tables.by_text(self.pairs[self.pairs.split == split], "tile_id")
        for tile in tiles_of(self.tiles[self.tiles.tile_id.isin(list(by_tile))]):
            for row in tables.each(by_tile[tile.tile_id]):
                if row.unknown > self.max_unknown * tile.height * tile.width:
                    self.left_out += 1
                    continue
                self.made_known += int(row.unknown)
                self.count(split)
                yield self._pair(tile, row)

    def _pair(self, tile: Tile, row: Any) -> Pair:
        periods = self.cubes.periods(tile.site_id)
        images, _ = self.cubes.inputs(tile, [periods.index(row.t1), periods.index(row.t2)])
        bands = len(self.recipe.sensor.bands)
        alpha = {
            name: image[bands] > 0 for name, image in zip("AB", images, strict=True) if len(image) > bands
        }
        label = self.cubes.label(tile, row.t1, row.t2)[: tile.height, : tile.width]
        label = self.cubes.padded(label, tile, UNKNOWN)
        name = f"{tile.tile_id}_{row.t1}_{row.t2}"
        return Pair(name, tile, row.t1, row.t2, images[0][:bands], images[1][:bands], label, alpha)

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


def shown(job: Job, title: str) -> Iterator[tuple[str, Pair]]:
    """All pairs with their split, behind a progress bar."""
    with progress(title, len(job.pairs), "pairs") as advance:
        for split in SPLITS:
            for pair in job.of_split(split):
                yield split, pair
                advance()
