"""The cube of a site: Zarr v3, one shard per array, readable with xarray and rioxarray.

    reflectance  time, band, y, x   uint16  nodata 0, scale 1e-4   (or image, uint8, nodata where all bands
                                            and clear are 0; or embedding, int8, nodata -128)
    clear        time, y, x         uint8   number of clear observations of the pixel
    mine         time, y, x         uint8   0 background, 1 footprint, 255 unknown (`annotate`)
    change       pair, y, x         uint8   0 unchanged, 1 changed, 255 unknown; only where change itself
                                            was labelled; its attribute `pairs` names the periods
    aoi          y, x               uint8   1 inside the AOI
    time (start of period), band, y, x, spatial_ref

The array of pixels also has the names of its bands in an attribute `bands`. Older cubes, without it and with
the shards' index at the end, remain valid.

A chunk is one date of one tile with all bands, as training reads it.
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
"""Bump when the same images give a different cube."""


def receipt(path: Path) -> Path:
    """Return the file with the key of a cube or of one of its arrays."""
    return path / "zarr.json"


def attributes_of(path: Path) -> dict[str, Any]:
    """Return the attributes of a cube or of one of its arrays; empty if it is missing or damaged."""
    return receipts.read(receipt(path))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the cube's rows of the table `composites`."""
    return list(attributes_of(path).get("minebench:composites", []))


def periods_of(path: Path) -> list[str]:
    """Return the labels of the cube's periods, in order of time."""
    return list(attributes_of(path).get("periods", []))


def require_all(
    benchmark: BenchmarkPaths, site_ids: Iterable[str], arrays: Iterable[str] = ("mine",)
) -> set[str]:
    """Return the sites whose cubes have images.

    Parameters
    ----------
    benchmark
        Paths of the benchmark.
    site_ids
        Sites that must have a cube.
    arrays
        Arrays that every cube with images must have.

    Raises
    ------
    NotMadeYet
        If a site is not composed, or a cube lacks its images or one of `arrays`.
    """
    composites = tables.read(benchmark.table("composites"), "compose")
    site_ids, has_images = list(site_ids), composites.groupby("site_id").kept.any().to_dict()
    for site_id in site_ids:
        path = benchmark.cube(site_id)
        if site_id not in has_images or (has_images[site_id] and not periods_of(path)):
            raise NotMadeYet(f"{path} is missing or older than the sites: run `minebench compose`.")
        for array in arrays if has_images[site_id] else ():
            # Zarr reads a missing array as zeros if the group's metadata has it.
            if not receipt(path / array).is_file():
                raise NotMadeYet(f"{path} has no {array}: run `minebench annotate` first.")
    return {site_id for site_id in site_ids if has_images[site_id]}


def change_of(path: Path) -> dict[tuple[str, str], int]:
    """Return the index of each pair of periods in `change`; empty if footprints were labelled."""
    return {(a, b): i for i, (a, b) in enumerate(attributes_of(path / "change").get("pairs", []))}
