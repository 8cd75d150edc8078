"""The decoded tiles of a split in two memory-mapped files, for training that reads them many times."""

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
    """Cubes whose tiles of one split are read from data/<benchmark>/cache/<key>/: images.npy (date of a
    tile, channel, y, x) and masks.npy (date of a tile, y, x)."""

    def __init__(self, benchmark_dir: Path, listed: pd.DataFrame) -> None:
        super().__init__(benchmark_dir)
        rows = tiles_of(listed)
        ends = np.cumsum([0, *(len(self.periods(tile.site_id)) for tile in rows)])
        self.start = {tile.tile_id: int(end) for tile, end in zip(rows, ends[:-1], strict=True)}
        self.count = int(ends[-1])
        folder = Path(benchmark_dir) / "cache" / self._key(rows)
        if not folder.is_dir():
            self._fill(folder, rows)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")

    def image_into(self, image: NDArray[Any], tile: Tile, date: int) -> None:
        image[:] = self.images[self.start[tile.tile_id] + date]

    def mask_into(self, mask: NDArray[np.uint8], tile: Tile, date: int) -> None:
        mask[:] = self.masks[self.start[tile.tile_id] + date]

    def _key(self, rows: list[Tile]) -> str:
        """Changes with the tiles and with every file of their cubes."""
        digest = hashlib.sha256(json.dumps([astuple(row) for row in rows], default=str).encode())
        if self.cube(rows[0].site_id).encoding.is_picture:
            digest.update(b"alpha")
        for site in sorted({row.site_id for row in rows}):
            for file in sorted((self.folder / f"{site}.zarr").rglob("*")):
                held = file.stat()
                digest.update(f"{file.name} {held.st_size} {held.st_mtime_ns}".encode())
        return digest.hexdigest()[:16]

    def _fill(self, folder: Path, rows: list[Tile]) -> None:
        height, width = rows[0].shape
        cube = self.cube(rows[0].site_id)
        with replacing(folder) as temporary:
            temporary.mkdir()
            shape = self.count, cube.channels, height, width
            images = _array(temporary / "images.npy", cube.pixels.dtype, shape)
            masks = _array(temporary / "masks.npy", np.dtype("u1"), (self.count, height, width))
            with progress("cache tiles", len(rows), "tiles") as advance:
                for tile in rows:
                    for date in range(len(self.periods(tile.site_id))):
                        place = self.start[tile.tile_id] + date
                        super().image_into(images[place], tile, date)
                        super().mask_into(masks[place], tile, date)
                    advance()
            images.flush()
            masks.flush()
        log.info("cached %d tiles in %s", len(rows), folder)


def _array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    return np.lib.format.open_memmap(path, "w+", dtype, shape)


def size_gb(cubes: Cubes, listed: pd.DataFrame) -> float:
    """What a cache of these tiles takes."""
    rows = tiles_of(listed)
    height, width = rows[0].shape
    cube = cubes.cube(rows[0].site_id)
    each = height * width * (cube.channels * cube.pixels.dtype.itemsize + 1)
    return each * sum(len(cubes.periods(row.site_id)) for row in rows) / 1e9
