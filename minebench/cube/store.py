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

from minebench import receipts, tables
from minebench.errors import NotMadeYet
from minebench.layout import BenchmarkPaths

if TYPE_CHECKING:
    pass


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


def require_all(
    benchmark: BenchmarkPaths, site_ids: Iterable[str], arrays: Iterable[str] = ("mine",)
) -> set[str]:
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


def change_of(path: Path) -> dict[tuple[str, str], int]:
    """The place in `change` of each pair of periods; empty where footprints were labelled."""
    return {(a, b): i for i, (a, b) in enumerate(attributes_of(path / "change").get("pairs", []))}
