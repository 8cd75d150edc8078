"""Read windows of a cube's arrays directly from their shards.

For a tile, zarr-python's general code takes many times as long as decoding. minebench's cubes have one
layout: Zarr v3, one shard per array with its index at the start (in older cubes at the end), chunks of one
date of one tile with all bands, blosc. With that layout a window takes an index lookup, a read and a
decompression per chunk, none of which holds the GIL for long.
"""

import json
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray

from minebench.cube import encoding

EMPTY = np.iinfo(np.uint64).max


class Shard:
    """An array (date, ..., y, x) of a cube, with int8 as in memory (`minebench.cube.encoding`).

    Thread-safe. The file stays open; if the cube is replaced meanwhile, the old one is read.

    Parameters
    ----------
    path
        Folder of the array.

    Raises
    ------
    ValueError
        If the array has another layout.
    """

    def __init__(self, path: Path) -> None:
        described: dict[str, Any] = json.loads((path / "zarr.json").read_text())
        self.shape: tuple[int, ...] = tuple(described["shape"])
        self.name = path.name
        self.is_signed = described["data_type"] == "int8"
        self.dtype = np.dtype("u1" if self.is_signed else described["data_type"]).newbyteorder("<")
        self.attributes: dict[str, Any] = described.get("attributes", {})
        self.fill = described["fill_value"] + (encoding.ZERO if self.is_signed else 0)
        self.chunk = _chunk_of(described)
        self.has_index_first = described["codecs"][0]["configuration"].get("index_location") == "start"
        file = path / "/".join(["c", *["0"] * len(self.shape)])
        # There is no file if every pixel is the fill value.
        self.file = os.open(file, os.O_RDONLY) if file.is_file() else None
        if self.file is not None:
            weakref.finalize(self, os.close, self.file)
        self.index = self._index()

    def _index(self) -> NDArray[np.uint64]:
        """Return offset and length in the shard of each chunk (dates, rows, columns, 2), in bytes."""
        counts = [-(-size // chunk) for size, chunk in zip(self.shape, self.chunk, strict=True)]
        counts = [counts[0], *counts[-2:]]
        if self.file is None:
            return np.full((*counts, 2), EMPTY)
        length = int(np.prod(counts)) * 16
        # A checksum of 4 bytes follows the index.
        start = 0 if self.has_index_first else os.fstat(self.file).st_size - length - 4
        content = os.pread(self.file, length, start)
        return np.frombuffer(content, "<u8").reshape(*counts, 2)

    def whole(self) -> NDArray[Any]:
        """Return the whole array (date, ..., y, x)."""
        out = np.empty(self.shape, self.dtype)
        for date in range(self.shape[0]):
            self.into(out[date], date, 0, 0)
        return out

    def window(self, date: int, y0: int, x0: int, height: int, width: int) -> NDArray[Any]:
        """Return a window (..., y, x) of one date, which must lie inside the array."""
        out = np.empty((*self.shape[1:-2], height, width), self.dtype)
        self.into(out, date, y0, x0)
        return out

    def into(self, out: NDArray[Any], date: int, y0: int, x0: int) -> None:
        """Fill `out` (..., y, x) with the window of one date that begins at (y0, x0)."""
        (height, width), (rows, columns) = out.shape[-2:], self.chunk[-2:]
        for row in range(y0 // rows, -(-(y0 + height) // rows)):
            for column in range(x0 // columns, -(-(x0 + width) // columns)):
                top, left = row * rows - y0, column * columns - x0
                y, x = max(top, 0), max(left, 0)
                part = out[..., y : top + rows, x : left + columns]
                part[...] = self._chunk(date, row, column)[
                    ..., y - top : y - top + part.shape[-2], x - left : x - left + part.shape[-1]
                ]

    def _chunk(self, date: int, row: int, column: int) -> NDArray[Any]:
        offset, length = (int(n) for n in self.index[date, row, column])
        if offset == EMPTY or self.file is None:
            return np.full(self.chunk[1:], self.fill, self.dtype)
        pixels = np.empty(self.chunk[1:], self.dtype)
        blosc.decompress(os.pread(self.file, length, offset), pixels)
        return encoding.raised(pixels.view(np.int8)) if self.is_signed else pixels


def _chunk_of(described: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of the chunks. ValueError if the array has another layout."""
    (sharding,) = described["codecs"]
    settings = sharding["configuration"]
    codecs = [codec["name"] for codec in settings["codecs"]]
    shape = tuple(settings["chunk_shape"])
    shard = described["chunk_grid"]["configuration"]["chunk_shape"]
    is_one_date = shape[0] == 1 and shape[1:-2] == tuple(described["shape"][1:-2])
    is_one_shard = all(a >= b for a, b in zip(shard, described["shape"], strict=True))
    has_checksum = [codec["name"] for codec in settings["index_codecs"]] == ["bytes", "crc32c"]
    if not (codecs == ["bytes", "blosc"] and is_one_date and is_one_shard and has_checksum):
        raise ValueError("not an array of a minebench cube")
    return shape


def read(path: Path) -> NDArray[Any]:
    """Return a whole array (date, ..., y, x) of a cube, with any layout that Zarr reads.

    FileNotFoundError or KeyError if there is none.
    """
    try:
        return Shard(path).whole()
    except (ValueError, KeyError, IndexError, RuntimeError):
        return encoding.raised(np.asarray(zarr.open_array(path, mode="r")[:]))
