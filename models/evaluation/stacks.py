"""A tile's whole series with its masks, read ahead of what predicts from it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from minebench import tables
from minebench.data import datasets, once, opening
from minebench.data.datasets import Scale, Series
from minebench.errors import InputError
from minebench.index import Tile
from minebench.masks import UNKNOWN
from models.evaluation import processes
from models.evaluation.tally import Key
from models.training.batches import change_of
from models.training.objective import Standardise

AHEAD = 3


@dataclass(frozen=True)
class Stack:
    """`images` (T, C, H, W) standardised, `masks` (T, H, W) in {0, 1, 255}, `aoi` (H, W) boolean, and the
    dates' neighbourhoods where the model takes them; all on the device. What an earlier tile has is 255 in
    `masks`, where ground counts once."""

    tile: Tile
    periods: list[str]
    images: Tensor
    masks: Tensor
    aoi: Tensor
    around: Tensor | None


class Stacks:
    """The tiles of a split as stacks, with neighbourhoods where the model takes `context`; of several
    processes each goes through its share. With `count` "ground" a pixel of several tiles is known in the
    first of them alone, with "tiles" in each."""

    def __init__(
        self, benchmark_dir: Path, split: str, scale: Scale, device: torch.device,
        fold: str | None = None, context: bool = False, count: str = "ground",
    ) -> None:  # fmt: skip
        series = opening.open(benchmark_dir, "series", split, scale, fold=fold)
        assert isinstance(series, Series)
        self.cubes, self.tiles = series.cubes, series.tiles
        self.own = processes.share(self.tiles)
        self.overlapped = once.overlapped(self.tiles) if count == "ground" else {}
        self.device, self.scale = device, scale
        self.standardise = Standardise(scale).to(device)
        self.beyond = datasets.beyond_of(benchmark_dir) if context else None
        self.bands = self.cubes.bands(self.tiles[0].site_id)

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Stack]:
        with ThreadPoolExecutor(2) as pool:
            tiles = iter(self.own)
            coming = [pool.submit(self._read, tile) for tile in islice(tiles, AHEAD)]
            while coming:
                tile, pixels, masks, aoi, around = coming.pop(0).result()
                if (following := next(tiles, None)) is not None:
                    coming.append(pool.submit(self._read, following))
                yield Stack(
                    tile,
                    self.cubes.periods(tile.site_id),
                    self.standardise(torch.from_numpy(pixels).to(self.device)),
                    torch.from_numpy(masks).to(self.device),
                    torch.from_numpy(aoi).to(self.device),
                    None if around is None else self.standardise(torch.from_numpy(around).to(self.device)),
                )

    def _read(self, tile: Any) -> tuple[Any, ...]:
        pixels, masks = self.cubes.inputs(tile)
        if tile.tile_id in self.overlapped:
            masks[:, once.counted_before(tile, self.overlapped[tile.tile_id])] = UNKNOWN
        around = None
        if self.beyond:
            around = np.stack(
                [self.cubes.neighbourhood(tile, date, self.beyond) for date in range(len(pixels))]
            )
        return tile, pixels, masks, self.cubes.aoi(tile), around

    def labels(self, stack: Stack, rows: pd.DataFrame, pairs: list[tuple[int, int]]) -> Tensor:
        """Change labels (P, H, W) of the pairs in `rows`, whose dates are at `pairs`."""
        if self.cubes.cube(stack.tile.site_id).change is None:
            return change_of(stack.masks[None], pairs)[0]
        drawn = np.stack([self.cubes.label(stack.tile, row.t1, row.t2) for row in tables.each(rows)])
        if earlier := self.overlapped.get(stack.tile.tile_id):
            drawn[:, once.counted_before(stack.tile, earlier)] = UNKNOWN
        return torch.from_numpy(drawn).to(self.device)


def places_of(stack: Stack, rows: pd.DataFrame) -> list[tuple[int, int]]:
    """The dates of the pairs in `rows` as places in the series."""
    place = {period: i for i, period in enumerate(stack.periods)}
    return [(place[row.t1], place[row.t2]) for row in tables.each(rows)]


def pairs_of_tiles(
    benchmark_dir: Path, stacks: Stacks, needed: bool = True
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The pairs of the split with their sites, and those of each tile. InputError where there is none."""
    sites = {tile.tile_id: tile.site_id for tile in stacks.tiles}
    pairs = datasets.read_table(benchmark_dir, "pairs")
    pairs = pairs[pairs.tile_id.isin(sites)]
    pairs = pairs.assign(site_id=pairs.tile_id.map(sites))
    if pairs.empty and needed:
        raise InputError("The split has no pairs to evaluate.")
    return pairs, {str(name): rows for name, rows in pairs.groupby("tile_id")}


def keys_of(pairs: pd.DataFrame) -> list[Key]:
    """Site and dates of the pairs, each once."""
    return keys(pairs.drop_duplicates(["site_id", "t1", "t2"]))


def keys(rows: pd.DataFrame) -> list[Key]:
    """Site and dates of each pair."""
    return list(zip(rows.site_id, rows.t1, rows.t2, strict=True))
