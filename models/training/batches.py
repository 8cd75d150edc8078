"""Training batches by step number alone, so that a resumed run sees what it would have seen.

Pixels stay in stored numbers until they are on the device. On a CPU threads fill the places of a batch that
is there already: nothing is copied between processes. A GPU is fed by processes, because threads that read
would hold Python's lock while it waits to be told what to do next.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from minebench.data import datasets, opening
from minebench.data.cache import CachedCubes, size_gb
from minebench.data.datasets import Pairs, Scale, Series
from minebench.errors import InputError, MinebenchError
from minebench.masks import UNKNOWN
from models.training.settings import Settings

AHEAD = 2
"""Batches that are read while one is trained on, by each process where several read."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Batch:
    """`images` (N, D, channel, H, W) in stored numbers (`minebench.cube.windows`): the two dates of pairs
    (and their neighbourhoods), one date, or the dates of a series. `masks` (N, M, H, W) uint8: the pair's
    label, or a mask per date."""

    images: Tensor
    masks: Tensor
    names: list[str]
    """Tile and dates of each item."""

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.images.to(device, non_blocking=True), self.masks.to(device, non_blocking=True), self.names
        )

    def pin_memory(self) -> "Batch":
        """In page-locked memory, from which a GPU takes it by itself; by this name a DataLoader calls it."""
        return Batch(self.images.pin_memory(), self.masks.pin_memory(), self.names)


class BatchSampler:
    """The items of one split, and how batches of them are drawn."""

    def __init__(
        self, benchmark_dir: Path, task: str, split: str, settings: Settings, scale: Scale | None = None,
        *, context: bool = False,
    ) -> None:  # fmt: skip
        self.task, self.settings = task, settings
        self.kind = "pairs" if task == "change" and not settings.series else "series"
        dataset = opening.open(
            benchmark_dir, self.kind, split, scale, neighbours=context, fold=settings.fold,
            sites=settings.sites if split == "train" else None, seed=settings.seed,
        )  # fmt: skip
        assert isinstance(dataset, Pairs | Series)
        self.dataset: Pairs | Series = dataset
        self.scale = dataset.scale
        self.tiles = list(dataset.tiles if isinstance(dataset, Series) else dataset.tiles.values())
        self.shape = self.tiles[0].shape
        self.bands = dataset.cubes.bands(self.tiles[0].site_id)
        self._cached(benchmark_dir)
        self.items = self._items()
        if not self.items:
            why = "its sites keep fewer than two periods" if self.kind == "pairs" else "no site is in it"
            raise InputError(
                f"The {split} split has no {self.kind}: {why}. "
                "Ask for more periods or another split in the recipe."
            )
        self.fewest_dates = min(len(dates) for _, dates in self.items)
        """Dates that every item has."""
        self.positive, self.interval = self._known(benchmark_dir)
        self.pool = ThreadPoolExecutor(settings.threads)

    def __len__(self) -> int:
        return len(self.items)

    def _cached(self, benchmark_dir: Path) -> None:
        table = datasets.read_table(benchmark_dir, "tiles")
        table = table[table.tile_id.isin([tile.tile_id for tile in self.tiles])]
        if self.settings.cache_gb and size_gb(self.dataset.cubes, table) <= self.settings.cache_gb:
            self.dataset.cubes = CachedCubes(benchmark_dir, table)

    def _items(self) -> list[tuple[Any, list[int]]]:
        """Each item's tile and dates: of a pair two, of an image one, of a series those to draw from."""
        if isinstance(self.dataset, Pairs):
            tiles = self.dataset.tiles
            return [
                (tiles[row.tile_id], self.dataset.dates(tiles[row.tile_id], row)) for row in self.dataset.rows
            ]
        every = [(tile, list(range(len(self.dataset.cubes.periods(tile.site_id))))) for tile in self.tiles]
        if self.settings.series:
            return every
        return [(tile, [date]) for tile, dates in every for date in dates]

    def _known(self, benchmark_dir: Path) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which items have positives at all, and the interval of each."""
        if isinstance(self.dataset, Pairs):
            pairs = self.dataset.table
            return (pairs.changed > 0).to_numpy(), pairs.interval.to_numpy()
        if self.task == "change":
            pairs = datasets.read_table(benchmark_dir, "pairs")
            changed = set(pairs.tile_id[pairs.changed > 0])
            positive = [tile.tile_id in changed for tile, _ in self.items]
        else:
            table = datasets.read_table(benchmark_dir, "tile_periods")
            table = table[table.mine_fraction > 0]
            mined = set(zip(table.tile_id, table.period, strict=True))
            positive = [
                any((tile.tile_id, period) in mined for period in self._periods(tile, dates))
                for tile, dates in self.items
            ]
        return np.array(positive), np.zeros(len(positive), np.int64)

    def steps_an_epoch(self, processes: int = 1) -> int:
        return max(1, len(self) // (self.settings.batch * processes))

    def batches(
        self, first: int, end: int, process: int = 0, processes: int = 1, device: torch.device = CPU
    ) -> Iterator[Batch]:
        """The batches of steps `first` to before `end` of one of `processes`, on the device."""
        if device.type == "cuda":
            read = read_by_processes(Steps(self, first, end, process, processes))
            yield from (batch.to(device) for batch in read)
            return
        with ThreadPoolExecutor(1) as reader:
            steps = iter(range(first, end))
            coming = [reader.submit(self.batch, step, process, processes) for step in islice(steps, AHEAD)]
            while coming:
                yield coming.pop(0).result()
                if (step := next(steps, None)) is not None:
                    coming.append(reader.submit(self.batch, step, process, processes))

    def batch(self, step: int, process: int = 0, processes: int = 1) -> Batch:
        rng = np.random.default_rng([self.settings.seed, step, process])
        return self.read(self._drawn(step, process, processes, rng), rng)

    def _drawn(self, step: int, process: int, processes: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """The items of a step: a part of the epoch's order, or drawn with the weights asked for."""
        size = self.settings.batch
        if not (self.settings.changed_share or self.settings.balance_intervals):
            epoch, part = divmod(step, self.steps_an_epoch(processes))
            order = _order(self.settings.seed, epoch, len(self))
            return np.take(order, np.arange(size) + (part * processes + process) * size, mode="wrap")
        share = _share_of_interval(self.interval) if self.settings.balance_intervals else np.ones(len(self))
        drawn = rng.choice(len(self), size, p=share / share.sum())
        changed = share * self.positive
        chosen = rng.random(size) < self.settings.changed_share
        drawn[chosen] = rng.choice(len(self), int(chosen.sum()), p=changed / changed.sum())
        return drawn

    def read(self, items: NDArray[np.int64], rng: np.random.Generator | None) -> Batch:
        """A batch of these items; without `rng` whole tiles and the first dates of a series."""
        plans = [self._plan(int(item), rng) for item in items]
        dates = len(plans[0][1])
        masks = 1 if self.kind == "pairs" else dates
        images = np.empty((len(items), dates, *self._channels_and_shape()), self._dtype())
        labels = np.empty((len(items), masks, *self.shape), np.uint8)
        around = (
            np.empty((len(items), dates, *self._channels_and_shape()), np.float32) if self._context else None
        )

        def fill(place: int) -> None:
            self._fill(items[place], plans[place], images[place], labels[place])
            if around is not None:
                self._fill_context(plans[place], around[place])

        # Threads do not come along into a process that a DataLoader forks.
        spread = self.pool.map if get_worker_info() is None else map
        list(spread(fill, range(len(items))))
        pixels = torch.from_numpy(images)
        if around is not None:
            pixels = torch.cat([pixels.float(), torch.from_numpy(around)], dim=1)
        names = [f"{tile.tile_id} {' '.join(self._periods(tile, dates))}" for tile, dates in plans]
        return _cropped(Batch(pixels, torch.from_numpy(labels), names), self.settings.crop, rng)

    @property
    def _context(self) -> bool:
        return isinstance(self.dataset, Pairs) and self.dataset.neighbours is not None

    def _plan(self, item: int, rng: np.random.Generator | None) -> tuple[Any, list[int]]:
        """The tile of an item and its dates; of a series as many as every tile has, or as asked for, the
        first ones without `rng`."""
        tile, dates = self.items[item]
        if not self.settings.series:
            return tile, dates
        wanted = min(self.settings.dates or self.fewest_dates, self.fewest_dates)
        chosen = dates[:wanted] if rng is None else rng.choice(dates, wanted, replace=False)
        return tile, sorted(int(date) for date in chosen)

    def _fill(self, item: int, plan: Any, images: NDArray[Any], labels: NDArray[np.uint8]) -> None:
        tile, dates = plan
        cubes = self.dataset.cubes
        for date, image in zip(dates, images, strict=True):
            cubes.image_into(image, tile, date)
        if isinstance(self.dataset, Pairs):
            pair = self.dataset.rows[item]
            labels[0] = cubes.label(tile, pair.t1, pair.t2)
            return
        for date, label in zip(dates, labels, strict=True):
            cubes.mask_into(label, tile, date)

    def _fill_context(self, plan: Any, around: NDArray[np.float32]) -> None:
        tile, dates = plan
        assert isinstance(self.dataset, Pairs)
        assert self.dataset.neighbours
        for date, image in zip(dates, around, strict=True):
            image[:] = self.dataset.cubes.neighbourhood(tile, date, self.dataset.neighbours)

    def _channels_and_shape(self) -> tuple[int, ...]:
        return (self.dataset.cubes.cube(self.tiles[0].site_id).channels, *self.shape)

    def _dtype(self) -> np.dtype[Any]:
        return self.dataset.cubes.cube(self.tiles[0].site_id).pixels.dtype

    def _periods(self, tile: Any, dates: list[int]) -> list[str]:
        known = self.dataset.cubes.periods(tile.site_id)
        return [known[date] for date in dates]


class Steps(Dataset["Batch | MinebenchError"]):
    """The batches of steps `first` to before `end`, for a DataLoader; or what is wrong with one, because a
    DataLoader would raise it with its traceback for a message."""

    def __init__(self, source: BatchSampler, first: int, end: int, process: int, processes: int) -> None:
        self.source, self.first, self.end = source, first, end
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, place: int) -> Batch | MinebenchError:
        try:
            return self.source.batch(self.first + place, self.process, self.processes)
        except MinebenchError as error:
            return error


def read_by_processes(steps: Steps) -> Iterator[Batch]:
    """Batches in order, read by as many processes as the settings have `threads`: forks, which have the
    open files that this process has."""
    batches = iter(DataLoader(
        steps, batch_size=None, num_workers=steps.source.settings.threads, prefetch_factor=AHEAD,
        pin_memory=torch.cuda.is_available(), multiprocessing_context="fork", worker_init_fn=_left_to_end,
    ))  # fmt: skip
    try:
        for batch in batches:
            if isinstance(batch, MinebenchError):
                raise batch
            yield batch
    finally:
        # At once. The garbage collector, which finds it in an error's traceback, closes its queues first, and
        # then each process is waited for 5 s.
        if isinstance(batches, _MultiProcessingDataLoaderIter):
            batches._shutdown_workers()


def _left_to_end(_number: int) -> None:
    """Ctrl-C is for the process that trains, and ends those that read; and what signals they get is not
    for its watch (`pipeline.core.interruption`), whose socket they have as well."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """An epoch's order of the items."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def _share_of_interval(interval: NDArray[np.int64]) -> NDArray[np.float64]:
    """A weight for each item that makes every interval equally likely."""
    _, inverse, count = np.unique(interval, return_inverse=True, return_counts=True)
    return 1 / count[inverse]


def _cropped(batch: Batch, crop: int | None, rng: np.random.Generator | None) -> Batch:
    """A window of the batch, another one for each item."""
    height, width = batch.masks.shape[-2:]
    if rng is None or crop is None or crop >= min(height, width):
        return batch
    corners = zip(
        rng.integers(height - crop + 1, size=len(batch.names)),
        rng.integers(width - crop + 1, size=len(batch.names)),
        strict=True,
    )
    windows = [(..., slice(y, y + crop), slice(x, x + crop)) for y, x in corners]
    images = torch.stack([image[w] for image, w in zip(batch.images, windows, strict=True)])
    masks = torch.stack([mask[w] for mask, w in zip(batch.masks, windows, strict=True)])
    return Batch(images, masks, batch.names)


def pairs_of(dates: int, most: int | None = None) -> list[tuple[int, int]]:
    """All pairs of so many dates in order, or `most` of them drawn by torch's seed."""
    pairs = list(combinations(range(dates), 2))
    if most is None or most >= len(pairs):
        return pairs
    return [pairs[int(i)] for i in torch.randperm(len(pairs))[:most].sort().values]


def change_of(masks: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """Change labels (N, P, H, W) of footprint masks (N, T, H, W): where exactly one is set."""
    first, second = (masks[:, [pair[side] for pair in pairs]] for side in (0, 1))
    unknown = (first == UNKNOWN) | (second == UNKNOWN)
    return torch.where(unknown, UNKNOWN, (first != second).to(torch.uint8))


def check_series(source: BatchSampler) -> None:
    """InputError where a series cannot give change labels."""
    drawn = any(source.dataset.cubes.cube(tile.site_id).change is not None for tile in source.tiles)
    if source.task == "change" and source.settings.series and drawn:
        raise InputError("The benchmark's labels are of single pairs: train without `series`.")
