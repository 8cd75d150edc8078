"""Pictures from the cubes, as PNG data URIs."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from PIL import Image

from minebench import tables
from minebench.cube import store
from minebench.cube.labels import Labels
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from models.evaluation.examples import told
from pipeline.cubes import cube
from pipeline.recipe import Recipe
from pipeline.stac import assets

SITES_SHOWN = 5
DATES_SHOWN = 12
SIDE = 220
TRUE_POSITIVE, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, UNKNOWN = (
    (0, 158, 115), (232, 232, 232), (213, 94, 0), (0, 114, 178), (150, 150, 150),
)  # fmt: skip
"""Of Okabe and Ito's palette, which colour-blind people tell apart."""
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """An evaluated model: metrics.json, its scores by date, by site and by threshold, and the predictions
    kept as packed bits."""

    model: str
    metrics: dict[str, Any]
    table: pd.DataFrame
    sites: pd.DataFrame
    curve: pd.DataFrame
    examples: dict[str, NDArray[np.uint8]]


class Looks:
    """Images of sites in one stretch for all their dates."""

    def __init__(self, benchmark: BenchmarkPaths, recipe: Recipe) -> None:
        self.benchmark, self.recipe = benchmark, recipe
        self.stretches: dict[str, assets.Stretch] = {}

    def periods(self, site_id: str) -> list[str]:
        return store.periods_of(self.benchmark.cube(site_id))

    def mask(self, site_id: str, date: int) -> NDArray[np.uint8]:
        return np.asarray(self._array(site_id, "mine")[date])

    def clear(self, site_id: str, date: int) -> NDArray[np.uint8]:
        return np.asarray(self._array(site_id, "clear")[date])

    def change(self, tile: Tile, t1: str, t2: str) -> NDArray[np.uint8]:
        """A tile's change label."""
        return Labels.read(self.benchmark.cube(tile.site_id)).label(t1, t2, tile.window)

    def image(self, site_id: str, date: int) -> Picture:
        """True colour (y, x, 3)."""
        path = self.benchmark.cube(site_id)
        if site_id not in self.stretches:
            self.stretches[site_id] = assets.stretch(cube.images(path, self.recipe), self.recipe)
        rgb = assets.shown(cube.images(path, self.recipe, date), self.recipe, self.stretches[site_id])
        return np.moveaxis(rgb, 0, -1)

    def _array(self, site_id: str, name: str) -> zarr.Array[Any]:
        return cube.array_of(zarr.open_group(self.benchmark.cube(site_id), mode="r"), name)


def series(look: Looks, sites: gpd.GeoDataFrame, labels_of: dict[str, str]) -> list[dict[str, Any]]:
    """A few sites over the same periods, footprints outlined; spread over the splits. A period without an
    image has None in its place."""
    every = [period.label for period in look.recipe.periods.periods()]
    shown = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, DATES_SHOWN).round().astype(int))]
    order = sites.assign(rank=sites.groupby("split").cumcount()).sort_values(["rank", "split"])
    strips: list[dict[str, Any]] = []
    for site in tables.each(order):
        labels = look.periods(site.site_id)
        if not labels or len(strips) == SITES_SHOWN:
            continue
        # Of a stack of tiles the first few.
        rows = slice(None) if site.epsg else slice(0, 3 * site.width)
        frames = [
            (label, _dated(look, site.site_id, labels.index(label), rows) if label in labels else None)
            for label in shown
        ]
        title = labels_of[site.site_id] + (f", {site.country}" if isinstance(site.country, str) else "")
        strips.append({"title": title, "split": site.split, "frames": frames})
    return strips


def _dated(look: Looks, site_id: str, date: int, rows: slice) -> str:
    """A site's image of a date with its footprint."""
    return png(assets.outlined(look.image(site_id, date)[rows], look.mask(site_id, date)[rows]))


def examples(look: Looks, run: Run, tiles: pd.DataFrame, names: dict[str, str]) -> dict[str, Any]:
    """A model's prediction for its best, median and worst site beside images and truth."""
    by_id = {tile.tile_id: tile for tile in tiles_of(tiles)}
    scores = run.sites.set_index("site_id").f1
    kept = {by_id[name.partition("|")[0]].site_id: name for name in run.examples}
    rows: list[dict[str, Any]] = []
    for rank, site_id in told(run.sites).items():
        if name := kept.get(site_id):
            tile_id, *dates = name.split("|")
            frames = _example(look, run, by_id[tile_id], dates, name)
            title = f"{rank.capitalize()}: {names[site_id]}, F1 {scores[site_id]:.3f}"
            rows.append({"title": title, "frames": frames})
    return {"model": run.model, "task": run.metrics["task"], "rows": rows}


def _example(look: Looks, run: Run, tile: Tile, dates: list[str], name: str) -> list[tuple[str, str]]:
    """Images, truth and prediction of a tile, each with its name."""
    labels = look.periods(tile.site_id)
    bits = np.unpackbits(run.examples[name], axis=-1, count=tile.width + tile.pad_x).astype(bool)
    if dates:
        shown = [labels.index(date) for date in dates]
        truth, predicted = look.change(tile, *dates), bits
    else:
        shown = [len(labels) - 1]
        truth, predicted = _window(look, tile, shown[0])[1], bits[-1]
    predicted = predicted[: tile.height, : tile.width]
    frames = [(labels[date], png(_window(look, tile, date)[0])) for date in shown]
    return [
        *frames,
        ("truth", png(coloured(truth == 1, truth))),
        ("prediction", png(coloured(predicted, truth))),
    ]


def coloured(predicted: NDArray[np.bool_], truth: NDArray[np.uint8]) -> Picture:
    """True and false, positive and negative, each in its colour; unknown grey."""
    picture = np.empty((*truth.shape, 3), np.uint8)
    picture[...] = TRUE_NEGATIVE
    picture[predicted & (truth == 1)] = TRUE_POSITIVE
    picture[predicted & (truth == 0)] = FALSE_POSITIVE
    picture[~predicted & (truth == 1)] = FALSE_NEGATIVE
    picture[truth == 255] = UNKNOWN
    return picture


def png(picture: Picture) -> str:
    """A data URI, reduced to SIDE pixels where larger."""
    return picture_of(Image.fromarray(np.ascontiguousarray(picture)))


def picture_of(image: Image.Image) -> str:
    """The same of an image of Pillow's."""
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _window(look: Looks, tile: Tile, date: int) -> tuple[Picture, NDArray[np.uint8]]:
    """A tile's image and mask, unknown where nothing clear was seen."""
    window = tile.window
    mask = look.mask(tile.site_id, date)[window].copy()
    mask[look.clear(tile.site_id, date)[window] == 0] = 255
    return look.image(tile.site_id, date)[window], mask
