"""A web-tile server that renders the synthetic archive's first clear-enough scene, or a test pattern, in
web mercator.

Pattern tiles (/pattern/<release>/<z>/<x>/<y>) carry bright discs at given places: words are lon,lat pairs.
Transparent outside `gone`; /missing answers 404. A key is asked for under /keyed/<key>/...
"""

import io
import math
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from tests.standins.base import Handler

HALF = math.pi * 6378137
DISC_M = 12.0
"""Radius of a disc on the ground, metres."""


def prepare(url: str, folder: str = "", *places: str) -> dict[str, Any]:
    return {
        "scenes": sorted(Path(folder).glob("*/*/B04.tif")) if folder else [],
        "places": [tuple(map(float, place.split(","))) for place in places],
    }


@cache
def mercator_bounds(path: Path) -> tuple[float, float, float, float]:
    """Where a scene lies in web mercator, with a margin of a few pixels: west, south, east, north."""
    with rasterio.open(path) as file:
        west, south, east, north = transform_bounds(file.crs, "EPSG:3857", *file.bounds)
    return west - 100, south - 100, east + 100, north + 100


class Answering(Handler):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        words = urlsplit(path).path.strip("/").split("/")
        if words[0] == "keyed":
            if words[1] != "secret-tile-key":
                return 403, {}, b""
            words = words[2:]
        kind, release = words[0], words[1]
        z, x, y = (int(word) for word in words[2:5])
        if kind == "missing":
            return 404, {}, b""
        size = 2 * HALF / 2**z
        left, top = x * size - HALF, HALF - y * size
        pixels = (
            self._pattern(left, top, size) if kind == "pattern" else self._archive(left, top, size, release)
        )
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return 200, {"Content-Type": "image/png"}, buffer.getvalue()

    def _pattern(self, left: float, top: float, size: float) -> np.ndarray:
        """Each disc's share of each pixel, by 4 x 4 points, on a grey ground."""
        step = size / 256 / 4
        points = (np.arange(1024) + 0.5) * step
        total = np.zeros((1024, 1024))
        for lon, lat in self.setup_data["places"]:
            x = math.radians(lon) * 6378137
            y = math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)) * 6378137
            radius = DISC_M / math.cos(math.radians(lat))
            total += np.hypot(left + points[None] - x, top - points[:, None] - y) < radius
        share = total.reshape(256, 4, 256, 4).mean(axis=(1, 3))
        grey = (40 + 180 * np.minimum(share, 1)).astype(np.uint8)
        return np.dstack([grey, grey, grey, np.full_like(grey, 255)])

    def _archive(self, left: float, top: float, size: float, release: str) -> np.ndarray:
        """The scene of the release's year that covers the tile's middle best, transparent elsewhere."""
        result = np.zeros((256, 256, 4), np.uint8)
        transform = Affine(size / 256, 0, left, 0, -size / 256, top)
        for path in self.setup_data["scenes"]:
            if f"_{release}" not in path.parent.name or result[..., 3].all():
                continue
            west, south, east, north = mercator_bounds(path)
            if east < left or west > left + size or north < top - size or south > top:
                continue
            bands = []
            for name in ("B04", "B03", "B02"):
                with rasterio.open(path.with_name(f"{name}.tif")) as file, WarpedVRT(
                    file, crs="EPSG:3857", transform=transform, width=256, height=256,
                    resampling=Resampling.bilinear, nodata=0,
                ) as view:  # fmt: skip
                    bands.append(view.read(1))
            seen = (np.stack(bands) > 0).all(axis=0) & (result[..., 3] == 0)
            for index, band in enumerate(bands):
                result[..., index][seen] = np.clip(band[seen] // 14, 1, 255)
            result[..., 3][seen] = 255
        return result
