"""Cubes and masks of published files, as they are."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minebench import receipts
from minebench.cube import store
from minebench.errors import InputError, WorkError
from minebench.masks import UNKNOWN
from pipeline.published.formats.layout import Found, Layout, Pair, site_of, stamp
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

VERSION = 1
"""Of what is made of the files: raise it when it comes out otherwise. Each reader has one of its own."""
PICTURES = 2
"""The same, of pictures alone."""


def key(task: Any) -> str:
    """What a site's cube is made of; `task` is that of `pipeline.cubes.compose`."""
    layout = task.recipe.source.published(task.benchmark.root)
    found = site_of(layout, task.site.site_id)
    return receipts.fingerprint([
        VERSION, layout.version, store.VERSION, stamp(layout, found), task.recipe.sensor.model_dump(),
        task.recipe.tiling.size, *([PICTURES] if task.recipe.sensor.encoding.is_picture else []),
    ])  # fmt: skip


def make(task: Any, images_key: str) -> list[dict[str, Any]]:
    """A site's cube from its files as they are; see `pipeline.cubes.compose` for the rows."""
    # Zarr is loaded only where there is something to write.
    from pipeline.cubes import writer

    recipe, site = task.recipe, task.site
    layout = recipe.source.published(task.benchmark.root)
    found = site_of(layout, site.site_id)
    known = {period.label: period for period in recipe.periods.periods()}
    images, rows = [], []
    for label, dated in found.images.items():
        pixels = layout.image(found, label)
        expected = (len(recipe.sensor.bands), *found.shape)
        if pixels.shape != expected:
            raise InputError(f"{dated.file}: its pixels are {pixels.shape}, not {expected} (band, y, x).")
        has_data = _has_data(layout, found, label, pixels)
        seen = has_data.astype(np.uint8)
        days = [str(dated.day)] if dated.day else []
        images.append(writer.Image(known[label], pixels * has_data, seen, [Path(dated.file).stem], days))
        row = {"site_id": site.site_id, "period": label, "days": 1, "scenes": 1, "images": images_key}
        rows.append({**row, "clear": float(seen.mean()), "kept": True, "reason": ""})
    aoi = layout.aoi(found)
    area = np.ones(found.shape, bool) if aoi is None else aoi
    writer.write(task.path, site, recipe, images, area, images_key, rows)
    return rows


def _has_data(layout: Layout, site: Found, label: str, pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where an image (band, y, x) has data. In pictures of 8 bits black is a colour, and the file says where
    there is none; other numbers are 0 in all bands there."""
    if pixels.dtype != np.uint8:
        return np.asarray((pixels > 0).any(axis=0))
    seen = layout.seen(site, label)
    return np.ones(site.shape, bool) if seen is None else seen


def labels(
    recipe: Recipe, root: Path, site: Site, names: list[str]
) -> tuple[NDArray[np.uint8], dict[Pair, NDArray[np.uint8]]]:
    """Masks (period, y, x) and change masks as published; see `pipeline.cubes.annotate.labels_of`."""
    layout = recipe.source.published(root)
    found = site_of(layout, site.site_id)
    unknown = np.full(found.shape, UNKNOWN, np.uint8)
    masks = [layout.mask(found, name) for name in names]
    change = layout.changes(found) if recipe.labels.kind == "change" else {}
    if recipe.labels.kind == "change" and not change:
        raise WorkError(f"{site.site_id} has no change mask.")
    return np.stack([unknown if mask is None else mask for mask in masks]), change
