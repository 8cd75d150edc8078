"""The synthetic archive's items and pixels, for the stand-ins that serve them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from pipeline.sensors.sentinel2 import ASSETS

KEYS = {**ASSETS, "SCL": "scl"}


def items(archive: Path) -> list[dict[str, Any]]:
    """Every item of the archive, with its assets' absolute paths as `path`."""
    found = []
    for path in sorted(archive.glob("*/*/*.json")):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["path"] = str(path.parent / asset["href"])
        found.append(item)
    return sorted(found, key=lambda item: item["id"])


@lru_cache(maxsize=256)
def pixels(path: str) -> tuple[np.ndarray, Affine, str]:
    """A file's only band, its transform and CRS."""
    with rasterio.open(path) as file:
        return file.read(1), file.transform, str(file.crs)


def window(path: str, transform: Affine, height: int, width: int) -> np.ndarray:
    """Nearest pixels of a file at the centres of a grid in its own CRS; 0 outside."""
    source, own, _ = pixels(path)
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    x, y = transform.a * columns + transform.c, transform.e * rows + transform.f
    column = np.floor((x - own.c) / own.a + 1e-6).astype(int)
    row = np.floor((y - own.f) / own.e + 1e-6).astype(int)
    inside = ((row >= 0) & (row < source.shape[0]))[:, None] & ((column >= 0) & (column < source.shape[1]))
    found = source[np.clip(row, 0, source.shape[0] - 1)][:, np.clip(column, 0, source.shape[1] - 1)]
    return np.where(inside, found, 0).astype(source.dtype)
