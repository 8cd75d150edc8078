"""Windows of a benchmark's cubes, each opened once; see `minebench.cube.store` for the format.

Nodata is 0 in all bands of reflectance and embeddings. In 8-bit pictures black is a colour, and nodata is
black without a clear observation. Models therefore get pictures with an additional channel, alpha: 255 where
there is data, else 0.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from minebench import receipts
from minebench.cube.encoding import ENCODINGS, REFLECTANCE, Encoding
from minebench.cube.shards import Shard
from minebench.errors import NotMadeYet
from minebench.index import NODATA, PADDING, Tile
from minebench.masks import UNKNOWN, change_label

OPAQUE = 255
"""Alpha of a pixel with data."""


@dataclass(frozen=True)
class Cube:
    """One site's open arrays; see `minebench.cube.store`.

    Attributes
    ----------
    pixels, clear, mine
        Arrays (period, band, y, x), (period, y, x) and (period, y, x).
    aoi
        1 inside the AOI, else 0 (y, x).
    periods, bands
        Labels of the periods and names of the bands, in the arrays' order.
    change
        Change labels (pair, y, x); None unless change itself was labelled.
    pairs
        Index into `change` of each pair of periods.
    encoding
        Encoding of the pixels.
    """

    pixels: Shard
    clear: Shard
    mine: Shard
    aoi: NDArray[np.uint8]
    periods: list[str]
    bands: list[str]
    change: Shard | None
    pairs: dict[tuple[str, str], int]
    encoding: Encoding = REFLECTANCE

    @property
    def channels(self) -> int:
        """Number of a model's input channels: the bands, and alpha for pictures."""
        return self.pixels.shape[1] + self.encoding.is_picture


class Cubes:
    """Windows of a benchmark's cubes, each opened once.

    Parameters
    ----------
    benchmark_dir
        The benchmark's folder, ``data/<name>``.
    """

    def __init__(self, benchmark_dir: Path) -> None:
        self.folder = Path(benchmark_dir) / "cubes"
        self.opened: dict[str, Cube] = {}

    def cube(self, site_id: str) -> Cube:
        """Return a site's cube. NotMadeYet if it is missing or damaged."""
        if site_id not in self.opened:
            path = self.folder / f"{site_id}.zarr"
            try:
                self.opened[site_id] = _opened(path)
            except Exception:
                raise NotMadeYet(f"{path} cannot be read: run `minebench compose` and `annotate`.") from None
        return self.opened[site_id]

    def periods(self, site_id: str) -> list[str]:
        """Return the labels of a site's periods, in order of time."""
        return self.cube(site_id).periods

    def bands(self, site_id: str) -> list[str]:
        """Return the names of a site's bands."""
        return self.cube(site_id).bands

    def read(self, tile: Tile, dates: Sequence[int] | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return pixels (date, band, y, x) and masks (date, y, x) of a tile; as `inputs`, without alpha."""
        pixels, masks = self.inputs(tile, dates)
        return pixels[:, : len(self.bands(tile.site_id))], masks

    def inputs(
        self, tile: Tile, dates: Sequence[int] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return the pixels and masks of a tile, padded to its size.

        Parameters
        ----------
        tile
            The tile.
        dates
            Indices of periods; default: all.

        Returns
        -------
        pixels : numpy.ndarray
            Pixels in memory (date, channel, y, x); channels are the bands, and alpha for pictures.
        masks : numpy.ndarray
            Footprints (date, y, x) uint8 in {0, 1, 255}: 255, unknown, where nothing is annotated, where
            there is no clear observation, and in the padding, so that no pixel counts twice.
        """
        cube = self.cube(tile.site_id)
        dates = range(len(cube.periods)) if dates is None else dates
        height, width = tile.shape
        pixels = np.empty((len(dates), cube.channels, height, width), cube.pixels.dtype)
        masks = np.empty((len(dates), height, width), np.uint8)
        for date, image, mask in zip(dates, pixels, masks, strict=True):
            self.image_into(image, tile, date)
            self.mask_into(mask, tile, date)
        return pixels, masks

    def image_into(self, image: NDArray[Any], tile: Tile, date: int) -> None:
        """Fill `image` (channel, y, x) with a tile's pixels of one date, padded."""
        inside = image[:, : tile.height, : tile.width]
        _fill(self.cube(tile.site_id), inside, date, tile.y0, tile.x0)
        if tile.pad_y or tile.pad_x:
            image[:] = self.padded(inside, tile)

    def padded(self, pixels: NDArray[Any], tile: Tile, nodata: int = 0) -> NDArray[Any]:
        """Return pixels (..., y, x) of a tile's window padded to the tile's size.

        The padding repeats the pixels or, if the recipe's tiles extend beyond a site's edge, is `nodata`.
        """
        margin = [(0, 0)] * (pixels.ndim - 2) + [(0, tile.pad_y), (0, tile.pad_x)]
        if self.repeats:
            return np.pad(pixels, margin, mode="wrap")
        return np.pad(pixels, margin, constant_values=nodata)

    @cached_property
    def repeats(self) -> bool:
        """Whether padding repeats the tile; else it is nodata."""
        path = self.folder.parent / "index" / "tiles.parquet"
        return not path.is_file() or receipts.read(path).get(PADDING) != NODATA

    def mask_into(self, mask: NDArray[np.uint8], tile: Tile, date: int) -> None:
        """Fill `mask` (y, x) with a tile's mask of one date; see `inputs`."""
        cube = self.cube(tile.site_id)
        mask[:] = UNKNOWN
        inside = mask[: tile.height, : tile.width]
        cube.mine.into(inside, date, tile.y0, tile.x0)
        inside[cube.clear.window(date, tile.y0, tile.x0, tile.height, tile.width) == 0] = UNKNOWN

    def aoi(self, tile: Tile) -> NDArray[np.bool_]:
        """Return which pixels (y, x) of a tile, with its padding, are inside the site's AOI."""
        return np.pad(self.cube(tile.site_id).aoi[tile.window] == 1, ((0, tile.pad_y), (0, tile.pad_x)))

    def label(self, tile: Tile, t1: str, t2: str) -> NDArray[np.uint8]:
        """Return a pair's change label (y, x) uint8 in {0, 1, 255}.

        It is the labelled change if there is any, else 1 where exactly one of the two footprint masks is
        set; 255 also where either date has no clear observation, and in the padding.

        Parameters
        ----------
        tile
            The tile.
        t1, t2
            Labels of the periods.

        Raises
        ------
        NotMadeYet
            If change was labelled, but not of this pair.
        """
        cube = self.cube(tile.site_id)
        if cube.change is not None:
            return self._labelled_change(cube, cube.change, tile, t1, t2)
        first, second = np.empty((2, *tile.shape), np.uint8)
        self.mask_into(first, tile, cube.periods.index(t1))
        self.mask_into(second, tile, cube.periods.index(t2))
        return change_label(first, second)

    def _labelled_change(self, cube: Cube, change: Shard, tile: Tile, t1: str, t2: str) -> NDArray[np.uint8]:
        """Return the label if change itself was labelled; then `mine` is unknown everywhere."""
        if (t1, t2) not in cube.pairs:
            raise NotMadeYet(f"{tile.site_id} has no label for {t1} to {t2}: run `minebench annotate`.")
        window = tile.y0, tile.x0, tile.height, tile.width
        label = change.window(cube.pairs[t1, t2], *window)
        for period in (t1, t2):
            label[cube.clear.window(cube.periods.index(period), *window) == 0] = UNKNOWN
        return np.pad(label, ((0, tile.pad_y), (0, tile.pad_x)), constant_values=UNKNOWN)

    def window(
        self, site_id: str, date: int, y0: int, x0: int, height: int, width: int, beyond: str
    ) -> NDArray[Any]:
        """Return the pixels (channel, y, x) of any window of a site at one date.

        Parameters
        ----------
        site_id, date
            The site, and the index of the period.
        y0, x0, height, width
            The window, in pixels; it may extend beyond the site.
        beyond
            ``nodata`` for 0 outside the site, ``mirror`` for the site's mirror image.
        """
        cube = self.cube(site_id)
        rows, columns = cube.pixels.shape[2:]
        y, x = slice(max(y0, 0), min(y0 + height, rows)), slice(max(x0, 0), min(x0 + width, columns))
        inside = np.empty((cube.channels, y.stop - y.start, x.stop - x.start), cube.pixels.dtype)
        _fill(cube, inside, date, y.start, x.start)
        margin = ((0, 0), (y.start - y0, y0 + height - y.stop), (x.start - x0, x0 + width - x.stop))
        if beyond == "nodata":
            return np.pad(inside, margin)
        return np.pad(inside, margin, mode="symmetric")

    def neighbours(self, tile: Tile, date: int, beyond: str) -> NDArray[Any]:
        """Return a tile with the eight tiles around it (channel, 3 height, 3 width); see `window`."""
        height, width = tile.shape
        corner = tile.y0 - height, tile.x0 - width
        return self.window(tile.site_id, date, *corner, 3 * height, 3 * width, beyond)

    def neighbourhood(self, tile: Tile, date: int, beyond: str) -> NDArray[np.float32]:
        """Return `neighbours` reduced to the tile's size (channel, y, x) by block means of pixels with data.

        Values are those in memory, as float32; 0 where there is no data.
        """
        height, width = tile.shape
        wide = self.neighbours(tile, date, beyond)
        blocks = wide.reshape(len(wide), height, 3, width, 3).astype(np.float32)
        has_data = (blocks > 0).any(axis=0)
        count = has_data.sum(axis=(1, 3))
        total = (blocks * has_data).sum(axis=(2, 4))
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)


def _fill(cube: Cube, image: NDArray[Any], date: int, y0: int, x0: int) -> None:
    """Fill `image` (channel, y, x) with a window inside the site."""
    bands = cube.pixels.shape[1]
    colours = image[:bands]
    cube.pixels.into(colours, date, y0, x0)
    if cube.encoding.is_picture:
        is_clear = cube.clear.window(date, y0, x0, *image.shape[1:]) > 0
        image[bands] = np.where(is_clear | (colours != 0).any(axis=0), OPAQUE, 0)


def _opened(path: Path) -> Cube:
    attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    encoding = next(kind for kind in ENCODINGS.values() if (path / kind.kind).is_dir())
    change = Shard(path / "change") if (path / "change").is_dir() else None
    pairs = change.attributes["pairs"] if change else []
    arrays = {name: np.asarray(zarr.open_array(path / name, mode="r")[:]) for name in ("band", "aoi")}
    return Cube(
        Shard(path / encoding.kind),
        Shard(path / "clear"),
        Shard(path / "mine"),
        arrays["aoi"],
        list(attributes["periods"]),
        [str(band) for band in arrays["band"]],
        change,
        {(str(a), str(b)): i for i, (a, b) in enumerate(pairs)},
        encoding,
    )
