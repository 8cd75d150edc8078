"""The cube of a site: Zarr v3, one shard an array, opens with xarray and rioxarray.

    reflectance  time, band, y, x   uint16  nodata 0, scale 1e-4   (or image, uint8, in which no data is 0
                                            in all bands with clear 0; or embedding, int8, nodata -128)
    clear        time, y, x         uint8   clear observations behind the pixel, 0 none
    mine         time, y, x         uint8   0 background, 1 footprint, 255 unknown (`annotate`)
    change       pair, y, x         uint8   0 unchanged, 1 changed, 255 unknown; only where change itself
                                            was labelled; its attribute `pairs` names the periods
    aoi          y, x               uint8   1 inside the AOI
    time (start of period), band, y, x, spatial_ref

The array of pixels also names its bands in an attribute `bands`. Cubes that were written without it, and with
the shards' index at their end, stay as they are.

Chunks are one date of one tile with all its bands, which is what training reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core import receipts, signed, tables
from pipeline.core.errors import NotMadeYet
from pipeline.core.layout import Benchmark
from pipeline.core.periods import Period
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import zarr

LARGEST_CHUNK = 512
VERSION = 1
"""Of the store: raise it when the same images are written otherwise."""


def receipt(path: Path) -> Path:
    """The file of a cube, or of an array in it, that carries its key."""
    return path / "zarr.json"


def attributes_of(path: Path) -> dict[str, Any]:
    """The attributes of a cube, or of an array in it; empty where there is no sound one."""
    return receipts.read(receipt(path))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The cube's lines of `composites`."""
    return list(attributes_of(path).get("minebench:composites", []))


def periods_of(path: Path) -> list[str]:
    """Labels of the cube's dates in order."""
    return list(attributes_of(path).get("periods", []))


def periods_in(path: Path, recipe: Recipe) -> list[Period]:
    """The recipe's periods that the cube holds, in its order. NotMadeYet where it holds another."""
    known = {period.label: period for period in recipe.periods.periods()}
    held = periods_of(path)
    if strange := [label for label in held if label not in known]:
        raise NotMadeYet(f"{path} holds {strange[0]}, no period of the recipe: run `minebench compose`.")
    return [known[label] for label in held]


def require_all(benchmark: Benchmark, site_ids: Iterable[str], arrays: Iterable[str] = ("mine",)) -> set[str]:
    """The sites whose cubes have images. NotMadeYet where a site was not composed, or a cube that should have
    images lacks them or `arrays`."""
    composites = tables.read(benchmark.table("composites"), "compose")
    site_ids, kept = list(site_ids), composites.groupby("site_id").kept.any().to_dict()
    for site_id in site_ids:
        path = benchmark.cube(site_id)
        if site_id not in kept or (kept[site_id] and not periods_of(path)):
            raise NotMadeYet(f"{path} is missing or older than the sites: run `minebench compose`.")
        for array in arrays if kept[site_id] else ():
            # Zarr takes an array that is gone for one of zeros, as long as the group's metadata names it.
            if not receipt(path / array).is_file():
                raise NotMadeYet(f"{path} has no {array}: run `minebench annotate` first.")
    return {site_id for site_id in site_ids if kept[site_id]}


def image_name(recipe: Recipe) -> str:
    """The name of the array of pixels."""
    return {"uint16": "reflectance", "uint8": "image", "int8": "embedding"}[recipe.sensor.dtype]


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a cube. KeyError where there is none, ValueError where a group has its name."""
    import zarr

    found = group[name]
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{name} is a group and no array")
    return found


def images(path: Path, recipe: Recipe, place: Any = slice(None)) -> NDArray[Any]:
    """A cube's images (period, band, y, x), or one of them (band, y, x), as they are held in memory: nodata
    is 0."""
    # Most who ask about a cube read none of its pixels.
    import zarr

    return signed.raised(np.asarray(array_of(zarr.open_group(path, mode="r"), image_name(recipe))[place]))


def has_data(pixels: NDArray[Any], clear: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture (band, y, x) has data (y, x), by its clear counts (y, x): black without a clear
    observation is none."""
    return np.asarray((clear > 0) | (pixels != 0).any(axis=0))


def change_of(path: Path) -> dict[tuple[str, str], int]:
    """The place in `change` of each pair of periods; empty where footprints were labelled."""
    return {(a, b): i for i, (a, b) in enumerate(attributes_of(path / "change").get("pairs", []))}


def chunk_side(recipe: Recipe) -> int:
    """Side of a chunk: the tile, in pixels, within reason."""
    return min(recipe.tiling.size, LARGEST_CHUNK)
