"""Windows of the arrays of a cube, read straight from their shard.

zarr-python reads a tile through its general machinery, which costs many times the decoding. The cubes
that `minebench.cube.store` writes have one form: Zarr v3, one shard an array with its index at the start (in
older cubes at the end), chunks of one date (and all bands) of one tile, blosc. For that form a window is an
index lookup, a read and a decompression a chunk, none of which holds Python's lock for long.
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
    """An array (date, ..., y, x) of a cube, signed bytes as they are held in memory
    (`minebench.cube.encoding`). ValueError where it is not of that form.

    Safe to read from several threads at once. The file stays open; a cube that is replaced meanwhile is
    read as it was.
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
        # Never written where every pixel is the fill value.
        self.file = os.open(file, os.O_RDONLY) if file.is_file() else None
        if self.file is not None:
            weakref.finalize(self, os.close, self.file)
        self.index = self._index()

    def _index(self) -> NDArray[np.uint64]:
        """Offset and length in the shard of each chunk (dates, rows, columns, 2)."""
        counts = [-(-size // chunk) for size, chunk in zip(self.shape, self.chunk, strict=True)]
        counts = [counts[0], *counts[-2:]]
        if self.file is None:
            return np.full((*counts, 2), EMPTY)
        length = int(np.prod(counts)) * 16
        # A checksum of 4 bytes follows.
        begin = 0 if self.has_index_first else os.fstat(self.file).st_size - length - 4
        found = os.pread(self.file, length, begin)
        return np.frombuffer(found, "<u8").reshape(*counts, 2)

    def whole(self) -> NDArray[Any]:
        """The array (date, ..., y, x)."""
        out = np.empty(self.shape, self.dtype)
        for date in range(self.shape[0]):
            self.into(out[date], date, 0, 0)
        return out

    def window(self, date: int, y0: int, x0: int, height: int, width: int) -> NDArray[Any]:
        """(..., y, x) of one date, of any window inside the array."""
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
    """The chunks' shape within the shard; ValueError where the array has another form."""
    (sharding,) = described["codecs"]
    settings = sharding["configuration"]
    codecs = [codec["name"] for codec in settings["codecs"]]
    shape = tuple(settings["chunk_shape"])
    whole = described["chunk_grid"]["configuration"]["chunk_shape"]
    of_one_date = shape[0] == 1 and shape[1:-2] == tuple(described["shape"][1:-2])
    in_one_shard = all(a >= b for a, b in zip(whole, described["shape"], strict=True))
    checked = [codec["name"] for codec in settings["index_codecs"]] == ["bytes", "crc32c"]
    if not (codecs == ["bytes", "blosc"] and of_one_date and in_one_shard and checked):
        raise ValueError("not an array of a minebench cube")
    return shape


def read(path: Path) -> NDArray[Any]:
    """A whole array (date, ..., y, x) of a cube, also where somebody has written it in another form.
    FileNotFoundError or KeyError where there is none."""
    try:
        return Shard(path).whole()
    except (ValueError, KeyError, IndexError, RuntimeError):
        return encoding.raised(np.asarray(zarr.open_array(path, mode="r")[:]))
