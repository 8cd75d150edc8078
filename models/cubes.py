"""A benchmark's cubes, opened once, and windows of them; see `pipeline.cube` for the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from models.errors import WorkError
from models.masks import UNKNOWN, change_label


@dataclass(frozen=True)
class Cube:
    """One site's open arrays; see `pipeline.cube` for the store. `change` is there where change itself
    was labelled, with the place of each pair of periods in it."""

    pixels: zarr.Array
    clear: zarr.Array
    mine: zarr.Array
    periods: list[str]
    bands: list[str]
    change: zarr.Array | None
    pairs: dict[tuple[str, str], int]


class Cubes:
    """Opens each of a benchmark's cubes once and reads windows of them."""

    def __init__(self, benchmark_dir: Path) -> None:
        self.folder = Path(benchmark_dir) / "cubes"
        self.opened: dict[str, Cube] = {}

    def cube(self, site_id: str) -> Cube:
        if site_id not in self.opened:
            path = self.folder / f"{site_id}.zarr"
            try:
                group = zarr.open_group(path, mode="r")
                arrays = dict(group.arrays())
                pixels = arrays.get("reflectance", arrays.get("image"))
                bands = [str(band) for band in arrays["band"][:]]
                periods = list(group.attrs["periods"])
                change = arrays.get("change")
                listed = change.attrs["pairs"] if change is not None else []
                pairs = {(str(a), str(b)): i for i, (a, b) in enumerate(listed)}
                self.opened[site_id] = Cube(
                    pixels, arrays["clear"], arrays["mine"], periods, bands, change, pairs
                )
            except Exception:
                raise WorkError(f"{path} cannot be read: run `minebench compose` and `annotate`.") from None
        return self.opened[site_id]

    def periods(self, site_id: str) -> list[str]:
        return self.cube(site_id).periods

    def bands(self, site_id: str) -> list[str]:
        return self.cube(site_id).bands

    def read(self, tile: Any, dates: Sequence[int] | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Pixels (date, band, y, x) and masks (date, y, x) of a tile, padded by repetition; all
        dates without `dates`.

        The mask is 255, unknown, where nothing was annotated, where no clear pixel is behind the
        image, and in the padding, so that no pixel counts twice.
        """
        cube = self.cube(tile.site_id)
        y, x = slice(tile.y0, tile.y0 + tile.height), slice(tile.x0, tile.x0 + tile.width)
        dates = range(len(cube.periods)) if dates is None else dates
        pixels = np.stack([np.asarray(cube.pixels[date, :, y, x]) for date in dates])
        masks = np.stack([np.asarray(cube.mine[date, y, x]) for date in dates])
        clear = np.stack([np.asarray(cube.clear[date, y, x]) for date in dates])
        masks[clear == 0] = UNKNOWN
        if tile.pad_y or tile.pad_x:
            padding = ((0, tile.pad_y), (0, tile.pad_x))
            pixels = np.pad(pixels, ((0, 0), (0, 0), *padding), mode="wrap")
            masks = np.pad(masks, ((0, 0), *padding), constant_values=UNKNOWN)
        return pixels, masks

    def label(self, tile: Any, t1: str, t2: str) -> NDArray[np.uint8]:
        """Change label (y, x) of a pair in {0, 1, 255}: as drawn, or where exactly one of the two
        footprint masks is set; 255 also where either date shows nothing clear, and in the padding."""
        cube = self.cube(tile.site_id)
        dates = [cube.periods.index(t1), cube.periods.index(t2)]
        y, x = slice(tile.y0, tile.y0 + tile.height), slice(tile.x0, tile.x0 + tile.width)
        if cube.change is None:
            label = change_label(*(np.asarray(cube.mine[date, y, x]) for date in dates))
        elif (t1, t2) in cube.pairs:
            label = np.array(cube.change[cube.pairs[t1, t2], y, x])
        else:
            raise WorkError(f"{tile.site_id} has no label for {t1} to {t2}: run `minebench annotate`.")
        for date in dates:
            label[np.asarray(cube.clear[date, y, x]) == 0] = UNKNOWN
        return np.pad(label, ((0, tile.pad_y), (0, tile.pad_x)), constant_values=UNKNOWN)

    def window(
        self, site_id: str, date: int, y0: int, x0: int, height: int, width: int, beyond: str
    ) -> NDArray[Any]:
        """Pixels (band, y, x) of any window; beyond the site's edge they are its mirror image, or 0
        with `beyond` "nodata"."""
        pixels = self.cube(site_id).pixels
        rows, columns = pixels.shape[2:]
        y, x = slice(max(y0, 0), min(y0 + height, rows)), slice(max(x0, 0), min(x0 + width, columns))
        inside = np.asarray(pixels[date, :, y, x])
        margin = ((0, 0), (y.start - y0, y0 + height - y.stop), (x.start - x0, x0 + width - x.stop))
        if beyond == "nodata":
            return np.pad(inside, margin)
        return np.pad(inside, margin, mode="symmetric")

    def neighbourhood(self, tile: Any, date: int, beyond: str) -> NDArray[np.float32]:
        """The 3x3 tiles around and with a tile, reduced to its size by block means of the pixels with
        data: (band, y, x) in stored numbers, 0 where there is none."""
        height, width = tile.height + tile.pad_y, tile.width + tile.pad_x
        corner = tile.y0 - height, tile.x0 - width
        wide = self.window(tile.site_id, date, *corner, 3 * height, 3 * width, beyond)
        blocks = wide.reshape(len(wide), height, 3, width, 3).astype(np.float32)
        has_data = (blocks > 0).any(axis=0)
        count = has_data.sum(axis=(1, 3))
        total = (blocks * has_data).sum(axis=(2, 4))
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)
