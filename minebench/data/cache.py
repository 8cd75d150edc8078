"""Cache the decoded tiles of a split in two memory-mapped files, for training over many epochs."""

import hashlib
import json
import logging
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench.cube.windows import Cubes
from minebench.files import replacing
from minebench.index import Tile, tiles_of
from minebench.progress import progress

log = logging.getLogger(__name__)


class CachedCubes(Cubes):
    """Cubes of which the tiles of one split are read from ``data/<benchmark>/cache/<key>/``.

    The cache is images.npy (image, channel, y, x) and masks.npy (image, y, x), with one image per tile and
    date. It is written first if it is missing.

    Parameters
    ----------
    benchmark_dir
        The benchmark's folder.
    tiles
        Rows of the table `tiles`, all of one size.
    """

    def __init__(self, benchmark_dir: Path, tiles: pd.DataFrame) -> None:
        super().__init__(benchmark_dir)
        cached = tiles_of(tiles)
        ends = np.cumsum([0, *(len(self.periods(tile.site_id)) for tile in cached)])
        self.start = {tile.tile_id: int(end) for tile, end in zip(cached, ends[:-1], strict=True)}
        self.count = int(ends[-1])
        folder = Path(benchmark_dir) / "cache" / self._key(cached)
        if not folder.is_dir():
            self._fill(folder, cached)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")

    def image_into(self, image: NDArray[Any], tile: Tile, date: int) -> None:
        """Fill `image` (channel, y, x) with a tile's cached pixels of one date."""
        image[:] = self.images[self.start[tile.tile_id] + date]

    def mask_into(self, mask: NDArray[np.uint8], tile: Tile, date: int) -> None:
        """Fill `mask` (y, x) with a tile's cached mask of one date."""
        mask[:] = self.masks[self.start[tile.tile_id] + date]

    def _key(self, tiles: list[Tile]) -> str:
        """Return a key that changes with the tiles and with every file of their cubes."""
        digest = hashlib.sha256(json.dumps([astuple(tile) for tile in tiles], default=str).encode())
        if self.cube(tiles[0].site_id).encoding.is_picture:
            digest.update(b"alpha")
        for site in sorted({tile.site_id for tile in tiles}):
            for file in sorted((self.folder / f"{site}.zarr").rglob("*")):
                stat = file.stat()
                digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
        return digest.hexdigest()[:16]

    def _fill(self, folder: Path, tiles: list[Tile]) -> None:
        height, width = tiles[0].shape
        cube = self.cube(tiles[0].site_id)
        with replacing(folder) as temporary:
            temporary.mkdir()
            shape = self.count, cube.channels, height, width
            images = _array(temporary / "images.npy", cube.pixels.dtype, shape)
            masks = _array(temporary / "masks.npy", np.dtype("u1"), (self.count, height, width))
            with progress("cache tiles", len(tiles), "tiles") as advance:
                for tile in tiles:
                    for date in range(len(self.periods(tile.site_id))):
                        position = self.start[tile.tile_id] + date
                        super().image_into(images[position], tile, date)
                        super().mask_into(masks[position], tile, date)
                    advance()
            images.flush()
            masks.flush()
        log.info("cached %d tiles in %s", len(tiles), folder)


def _array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def size_gb(cubes: Cubes, tiles: pd.DataFrame) -> float:
    """Return the size in GB of a cache of these rows of the table `tiles`."""
    cached = tiles_of(tiles)
    height, width = cached[0].shape
    cube = cubes.cube(cached[0].site_id)
    bytes_per_date = height * width * (cube.channels * cube.pixels.dtype.itemsize + 1)
    return bytes_per_date * sum(len(cubes.periods(tile.site_id)) for tile in cached) / 1e9
