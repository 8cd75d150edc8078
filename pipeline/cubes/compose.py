"""Stage `compose`: one image a period from the kept scenes, written as the site's cube.

    cubes/<site_id>.zarr       reflectance (or image), clear, aoi; see `pipeline.cubes.cube`
    index/composites.parquet   every period of every site: kept or not, and why

`annotate` adds the footprint masks to the same cubes.
"""

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from pipeline.core import tables
from pipeline.core.errors import WorkError
from pipeline.core.files import sha256
from pipeline.core.layout import Benchmark, prune
from pipeline.core.runner import each_site
from pipeline.cubes import composite, cube
from pipeline.geo import grid
from pipeline.recipe import Import, Recipe, Selection
from pipeline.scenes import reader as reading
from pipeline.scenes import selection
from pipeline.scenes.store import SUMS, Kept
from pipeline.sources.import_ import imported

log = logging.getLogger(__name__)
CODE = (sys.modules[__name__], composite, cube, selection)
ROW = {
    "site_id": "str", "period": "str", "days": "int64", "scenes": "int64", "clear": "float64",
    "kept": "bool", "reason": "str", "images": "str",
}  # fmt: skip
"""Columns of `composites`. `days` and `scenes` went into the image; `clear` is the share of the
AOI with at least one clear observation; `images` is the fingerprint of the site's images."""


@dataclass(frozen=True)
class Day:
    """One solar day's granules in order of time, by scene id."""

    day: str
    scenes: tuple[str, ...]


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Make the cubes that are missing or of other inputs, and the table. Returns how many."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    prune(benchmark.data / "cubes", {f"{site_id}.zarr" for site_id in sites.site_id})
    cores = (os.cpu_count() or 1) if scheduler is None else 1
    threads = max(1, cores // max(1, min(workers, len(sites))))
    tasks = [
        (benchmark, recipe, row, scenes[scenes.site_id == row.site_id], threads) for row in sites.itertuples()
    ]
    work = imported.compose_site if isinstance(recipe.source, Import) else _compose_site
    results = each_site("compose", tasks, work, workers, scheduler)
    table = pd.DataFrame([row for rows, _ in results for row in rows], columns=list(ROW)).astype(ROW)
    if not table.kept.any():
        raise WorkError(
            f"No site has a period with enough clear pixels ({table.reason.iloc[0]}): "
            "loosen selection.min_period_clear or search more scenes."
        )
    tables.write(table, benchmark.table("composites"))
    return sum(made for _, made in results)


def _compose_site(
    task: tuple[Benchmark, Recipe, Any, pd.DataFrame, int],
) -> tuple[list[dict[str, Any]], bool]:
    """One site's rows, and whether its cube had to be made."""
    benchmark, recipe, site, scenes, threads = task
    folder, path = benchmark.scenes(site.site_id), benchmark.cube(site.site_id)
    sums = (folder / SUMS).read_text() if (folder / SUMS).is_file() else ""
    chosen = scenes[scenes.selected]
    inputs = [sums, recipe.sensor.model_dump(), recipe.selection.model_dump(), recipe.periods.model_dump(),
              recipe.tiling.size, chosen[["period", "scene_id", "day"]].to_dict("list"), site.geometry.wkt,
              [site.epsg, site.left, site.top, site.height, site.width]]  # fmt: skip
    images = tables.fingerprint(inputs, CODE)
    if (kept := cube.rows_of(path, images)) is not None:
        return kept, False
    reader = KeptScenes(Kept(folder), recipe)
    shape = (int(site.height), int(site.width))
    aoi = reading.aoi_pixels(site, grid.of_site(site, recipe.sensor.resolution))
    rows, found = [], []
    for period in recipe.periods.periods():
        days = days_of(chosen[chosen.period == period.label])
        row = {"site_id": site.site_id, "period": period.label, "days": len(days), "images": images,
               "scenes": sum(len(day.scenes) for day in days), "clear": 0.0, "kept": False}  # fmt: skip
        if not days:
            rows.append({**row, "reason": "no scene was clear enough"})
            continue
        image, clear = compose(days, reader, recipe, shape, threads)
        share = float((clear > 0)[aoi].mean())
        enough = share >= recipe.selection.min_period_clear
        short = f"AOI only {share:.1%} clear, under {recipe.selection.min_period_clear:.0%}"
        rows.append({**row, "clear": share, "kept": enough, "reason": "" if enough else short})
        if enough:
            used = [s for day in days for s in day.scenes]
            found.append(cube.Image(period, image, clear, used, [day.day for day in days]))
    cube.write(path, site, recipe, found, aoi, images, rows)
    return rows, True


def days_of(rows: pd.DataFrame) -> list[Day]:
    """A period's chosen scenes by solar day, in order of time."""
    ordered = rows.sort_values(["day", "datetime", "scene_id"])
    return [Day(str(day), tuple(group.scene_id)) for day, group in ordered.groupby("day", sort=True)]


class KeptScenes:
    """Reads a site's kept files; raises WorkError where one is missing or damaged."""

    def __init__(self, kept: Kept, recipe: Recipe) -> None:
        self.kept, self.recipe = kept, recipe
        self.where: dict[tuple[str, str], tuple[str, int]] = {}
        self.checked: set[str] = set()

    def classes(self, scene_id: str) -> NDArray[np.uint8] | None:
        """Scene classes on the mask grid; None for sources without."""
        name = self.kept.mask(scene_id)
        return self._read(name, 1) if name else None

    def band(self, scene_id: str, band: str) -> NDArray[Any]:
        """One band in its kept pixel size (y, x)."""
        if (scene_id, band) not in self.where:
            self._look_up(scene_id)
        return self._read(*self.where[scene_id, band])

    def _look_up(self, scene_id: str) -> None:
        for name in self.kept.bands(scene_id):
            self._check(name)
            with rasterio.open(self.kept.folder / name) as file:
                for index, band in enumerate(file.descriptions, 1):
                    self.where[scene_id, band] = (name, index)

    def _read(self, name: str, index: int) -> NDArray[Any]:
        self._check(name)
        with rasterio.open(self.kept.folder / name) as file:
            return file.read(index)

    def _check(self, name: str) -> None:
        """Compare a file with its checksum, once, before it is believed."""
        if name in self.checked:
            return
        path = self.kept.folder / name
        if not path.is_file() or sha256(path) != self.kept.sums[name]:
            raise WorkError(f"{path} is missing or damaged: run `minebench fetch` to get it again.")
        self.checked.add(name)


def compose(
    days: list[Day], reader: Any, recipe: Recipe, shape: tuple[int, int], threads: int
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """One period's image (band, y, x) and its count of clear observations (y, x).

    `reader` has `classes(scene)` and `band(scene, band)`. A composite is 0 where nothing was
    clear; a least cloudy scene keeps its pixels as seen and says in the count where they were
    clear.
    """
    rule, bands = recipe.selection, recipe.sensor.bands
    try:
        owners = [owner_and_clear([reader.classes(scene) for scene in day.scenes], rule) for day in days]
        if rule.policy == "composite" and rule.composite == "medoid":
            image, clear = _medoid(days, owners, reader, bands, shape)
        else:
            image, clear = _median(days, owners, reader, recipe, shape, threads)
    except RasterioError as error:
        raise WorkError(f"A kept scene cannot be read: {error}; run `minebench fetch`.") from None
    if rule.policy == "composite":
        image[:, clear == 0] = 0
    return image.astype(recipe.sensor.dtype), clear


def owner_and_clear(
    classes: list[NDArray[np.uint8] | None], rule: Selection
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Which granule of a day gives each pixel, and whether it is clear there (mask grid).

    The first granule that is clear at a pixel gives it; where none is, the first with data.
    None without scene classes.
    """
    if classes[0] is None:
        return None, None
    known = [c for c in classes if c is not None]
    clear = np.stack([selection.clear_pixels(c, rule) for c in known])
    rank = np.where(clear, 2, np.stack([(c > 0).astype(np.uint8) for c in known]))
    owner = rank.argmax(axis=0).astype(np.uint8)
    return owner, np.asarray(clear.any(axis=0), np.uint8)


def _median(
    days: list[Day],
    owners: list[Any],
    reader: Any,
    recipe: Recipe,
    shape: tuple[int, int],
    threads: int,
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    bands, as_seen = recipe.sensor.bands, recipe.selection.policy == "least_cloudy"
    image = np.empty((len(bands), *shape), np.uint16)

    def one(index: int) -> NDArray[np.uint8]:
        stack = _stack(days, owners, reader, bands[index], shape)
        clear = _clear_stack(owners, stack)
        if as_seen:
            image[index], _ = composite.median(stack, np.ones_like(clear), shape)
            return composite.median(stack, clear, shape)[1]
        image[index], count = composite.median(stack, clear, shape)
        return count

    with ThreadPoolExecutor(threads) as pool:
        counts = pool.map(one, range(len(bands)))
        clear = next(counts).copy()
        for count in counts:
            np.minimum(clear, count, out=clear)
    return image, clear


def _medoid(
    days: list[Day], owners: list[Any], reader: Any, bands: tuple[str, ...], shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    stacks = {band: _stack(days, owners, reader, band, shape) for band in bands}
    fine = [band for band in bands if stacks[band].shape[1:] == shape]
    coarse = [band for band in bands if band not in fine]
    join = partial(np.stack, axis=1)
    empty = np.zeros((len(days), 0, 2, 2), np.uint16)
    image, clear = composite.medoid(
        join([stacks[b] for b in fine]) if fine else empty,
        join([stacks[b] for b in coarse]) if coarse else empty,
        _clear_stack(owners, stacks[bands[0]]),
        shape,
    )
    order = [(fine + coarse).index(band) for band in bands]
    return image[order], clear


def _clear_stack(owners: list[Any], stack: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """(date, y, x) clear masks; without scene classes every pixel with data is clear."""
    if owners[0][1] is None:
        return (stack > 0).astype(np.uint8)
    return np.stack([clear for _, clear in owners])


def _stack(
    days: list[Day], owners: list[Any], reader: Any, band: str, shape: tuple[int, int]
) -> NDArray[np.uint16]:
    """One band of all days (date, y, x), in the pixel size it is kept in. Scenes read again for
    co-registration are kept on the target grid: then all dates come to it."""
    layers = [[reader.band(scene, band) for scene in day.scenes] for day in days]
    if len({layer.shape for group in layers for layer in group}) > 1:
        layers = [
            [layer if layer.shape == shape else composite.upsampled(layer, shape) for layer in group]
            for group in layers
        ]
    return np.stack([_mosaic(group, owner) for group, (owner, _) in zip(layers, owners, strict=True)])


def _mosaic(layers: list[NDArray[Any]], owner: NDArray[np.uint8] | None) -> NDArray[np.uint16]:
    """A day's granules, each (y, x), as one image."""
    if len(layers) == 1:
        return layers[0].astype(np.uint16, copy=False)
    if owner is None:
        image = layers[0].copy()
        for layer in layers[1:]:
            np.copyto(image, layer, where=image == 0)
        return image.astype(np.uint16)
    which = _fitted(owner, layers[0].shape)
    image = layers[0].astype(np.uint16)
    for number, layer in enumerate(layers[1:], 1):
        np.copyto(image, layer, where=which == number)
    return image


def _fitted(owner: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The owner of each pixel in a band's size: fine, the mask's own, or coarse with apron."""
    if owner.shape == shape:
        return owner
    if shape == (owner.shape[0] + 2, owner.shape[1] + 2):
        return np.pad(owner, 1, mode="edge")
    return owner.repeat(2, axis=0).repeat(2, axis=1)
