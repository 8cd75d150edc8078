"""Keeping GDAL's list of file systems still while it is looked through.

rasterio gives GDAL a file system of its own for every file opened through Python, and takes it away when
the file is closed; GDAL changes that list without a lock, while other threads look through it for every
file that they open, read or warp (rasterio #3636): `fetch` crashed now and then, probably for this reason.
So opening and closing such files has GDAL to itself; all else, on files of the disk and of memory too, is
done side by side.

What waits for a network is done before, outside of both: see `pipeline.geo.raster`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.io import MemoryFile

FAILURE = CPLE_BaseError
"""What GDAL raises where rasterio gives it no name of its own."""
SHOWN = 200
"""Characters of what GDAL says."""
DRIVERS = {".jp2": "JP2OpenJPEG", ".png": "PNG"}


def driver_of(href: str | Path) -> str:
    """Return the one format that a file is read as, by its suffix. Others, such as VRT, are texts that make
    GDAL open what they name."""
    return DRIVERS.get(PurePosixPath(str(href).lower()).suffix, "GTiff")


def said(error: Exception) -> str:
    """Return a failure of GDAL (`FAILURE`, or rasterio's own) as part of a sentence: it may hold a CRS of
    a page."""
    return (str(error).splitlines() or [type(error).__name__])[0][:SHOWN].rstrip(". ")


class _Gate:
    """Many may be inside, or one alone; who wants to be alone goes first, so that nobody waits for ever."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.inside = self.waiting = 0
        self.is_taken = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self.changed:
            self.changed.wait_for(lambda: not self.is_taken and not self.waiting)
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self.changed:
            self.waiting += 1
            try:
                self.changed.wait_for(lambda: not self.is_taken and not self.inside)
                self.is_taken = True
            finally:
                self.waiting -= 1
        try:
            yield
        finally:
            with self.changed:
                self.is_taken = False
                self.changed.notify_all()


_gate = _Gate()


@contextmanager
def opened(path: str | Path, mode: str = "r", **options: Any) -> Iterator[Any]:
    """`rasterio.open`; through an `opener` of Python's with nothing else done in GDAL at the same time, nor
    when it is closed."""
    gate = _gate.alone if options.get("opener") else _gate.shared
    with gate():
        file = rasterio.open(path, mode, **options)
    try:
        yield file
    finally:
        with gate():
            file.close()


@contextmanager
def encoding(path: Path, **profile: Any) -> Iterator[Any]:
    """A new raster to be filled, made in memory and then written to `path`: where a disk is full, GDAL
    knows no number for it, and its TIFF library writes to the terminal."""
    with MemoryFile() as memory:
        with _gate.shared():
            file = memory.open(**profile)
        try:
            yield file
        finally:
            with _gate.shared():
                file.close()
        path.write_bytes(memory.getbuffer())


@contextmanager
def working() -> Iterator[None]:
    """Around reading, writing and warping; no file may be opened or closed by the same thread in it."""
    with _gate.shared():
        yield
