"""Opening and closing rasters one at a time, because GDAL's list of file systems is not thread-safe.

rasterio gives GDAL a file system of its own for every file opened through Python, and takes it away when
the file is closed; GDAL changes that list without a lock, while other threads look through it for every
file they open (rasterio #3636). `fetch` crashed once, probably for this reason. Reading goes on in
parallel.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio

LOCK = threading.Lock()


@contextmanager
def opened(path: str | Path, mode: str = "r", **options: Any) -> Iterator[Any]:
    """`rasterio.open`, with no other file opened or closed at the same time."""
    with LOCK:
        file = rasterio.open(path, mode, **options)
    try:
        yield file
    finally:
        with LOCK:
            file.close()
