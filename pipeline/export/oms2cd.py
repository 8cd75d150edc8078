"""OMS2CD's layout (Dibble 2023): whole scenes of sites, masks of their pairs, splits by site.

    s2_<site_id>_<lat>_<lon>_<YYYY-MM-DD>.tif   RGB, reflectance 0 to 1 as 0 to 255 (bytes as they are)
    area_mask/<facility>.tif                    0 and 255
    mask/<facility>_<id>.tif                    0 and 255
    mapping.csv                                 id, imageA, imageB, mask (<facility>.tif)
    train.csv, val.csv, test.csv                facilities

The day is the first one behind a period's image.
"""

import csv
from pathlib import Path

import numpy as np
import rasterio
import zarr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench.cube import store
from minebench.cube.labels import Labels
from minebench.errors import InputError
from minebench.masks import UNKNOWN
from minebench.progress import progress
from pipeline.cubes import cube
from pipeline.export.jobs import SPLITS, Job, binary, eight_bit
from pipeline.sites.site import Site

FULL = 10000
HEAD = ("id", "imageA", "imageB", "mask")


def write(job: Job) -> None:
    """Write every site. InputError where sites have no place, or no split of their own."""
    if any(site.epsg == 0 for site in job.sites):
        raise InputError("OMS2CD keeps scenes with a place: this benchmark's tiles came without.")
    if job.tiles.groupby("site_id").split.nunique().max() > 1:
        raise InputError("OMS2CD splits by site, this benchmark by tile: set split.by to site.")
    for name in ("area_mask", "mask"):
        (job.folder / name).mkdir()
    splits = dict(zip(job.tiles.site_id, job.tiles.split, strict=True))
    rows: list[dict[str, str]] = []
    facilities: dict[str, list[str]] = {split: [] for split in SPLITS}
    with progress("export", len(splits), "sites") as advance:
        for site in job.sites:
            if splits.get(site.site_id) in SPLITS:
                facilities[splits[site.site_id]].append(_name(site))
                rows += _site(job, site, splits[site.site_id])
                advance()
    _csv(job.folder / "mapping.csv", HEAD, [tuple(row[column] for column in HEAD) for row in rows])
    for split, names in facilities.items():
        _csv(job.folder / f"{split}.csv", ("facility",), [(name,) for name in names])


def _name(site: Site) -> str:
    longitude, latitude = site.place
    return f"s2_{site.site_id}_{latitude:.4f}_{longitude:.4f}"


def _site(job: Job, site: Site, split: str) -> list[dict[str, str]]:
    """Write a site's images and masks; returns its lines of mapping.csv."""
    facility, path = _name(site), job.benchmark.cube(site.site_id)
    box = site.grid
    group, attributes = zarr.open_group(path, mode="r"), store.attributes_of(path)
    masks = Labels.read(path)
    aoi = np.asarray(cube.array_of(group, "aoi")[:])
    _tif(job.folder / "area_mask" / f"{facility}.tif", aoi[np.newaxis] * 255, box)
    tiles = set(job.tiles.tile_id[job.tiles.site_id == site.site_id])
    own = job.pairs[job.pairs.tile_id.isin(tiles)][["t1", "t2"]].drop_duplicates()
    rows: list[dict[str, str]] = []
    files: dict[str, str] = {}
    for number, (t1, t2) in enumerate(own.itertuples(index=False)):
        label = masks.label(t1, t2)
        if (unknown := int((label == UNKNOWN).sum())) > job.max_unknown * label.size:
            job.left_out += 1
            continue
        job.made_known += unknown
        for period in (t1, t2):
            files.setdefault(period, f"{facility}_{min(attributes['acquired'][period])}.tif")
        _tif(job.folder / "mask" / f"{facility}_{number}.tif", binary(label)[np.newaxis], box)
        names = {"imageA": files[t1], "imageB": files[t2], "mask": f"{facility}.tif"}
        rows.append({"id": str(number), **names})
        job.count(split)
    shown = [job.recipe.sensor.bands.index(band) for band in job.recipe.sensor.rgb]
    for period, name in files.items():
        place = masks.periods.index(period)
        pixels = cube.images(path, job.recipe, place)
        # Who reads these 8 bits takes black for a colour.
        seen = cube.has_data(pixels, masks.clear[place])
        _tif(job.folder / name, eight_bit(pixels[shown], FULL), box, seen)
    return rows


def _tif(
    path: Path, pixels: NDArray[np.uint8], box: GeoBox, has_data: NDArray[np.bool_] | None = None
) -> None:
    """Write (band, y, x) pixels, with a mask where some have no data."""
    profile = {
        "driver": "GTiff", "count": len(pixels), "height": box.height, "width": box.width, "dtype": "uint8",
        "crs": str(box.crs), "transform": box.transform, "compress": "deflate",
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        if has_data is not None and not has_data.all():
            file.write_mask(has_data)


def _csv(path: Path, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
