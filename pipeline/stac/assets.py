"""The files of an item: pictures and masks that GIS people open, and checksums of everything."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from PIL import Image

from minebench.cube import encoding
from minebench.cube.encoding import Encoding
from minebench.files import sha256, write_json
from minebench.masks import UNKNOWN
from pipeline.cubes import cube
from pipeline.geo import cog, geodesy, raster
from pipeline.recipe import Recipe
from pipeline.sites.site import Site
from pipeline.stac import objects

THUMBNAIL, PREVIEW = 256, 1024
"""Longest sides, pixels."""
OUTLINE = (255, 220, 0)
COLOURS = {0: (60, 60, 60, 255), 1: (228, 87, 46, 255), 255: (170, 170, 170, 255)}
CLASSES = [
    {"value": 0, "name": "background", "description": "No mine", "color_hint": "3C3C3C"},
    {"value": 1, "name": "mine", "description": "Mine footprint", "color_hint": "E4572E"},
    {
        "value": 255,
        "name": "unknown",
        "description": "Not annotated",
        "color_hint": "AAAAAA",
        "nodata": True,
    },
]


@dataclass(frozen=True)
class Stretch:
    """Lowest and highest number of each shown band, the same for all dates of a site."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """(3, y, x) numbers to 1..255, nodata 0."""
        low, high = self.low.reshape(3, 1, 1), self.high.reshape(3, 1, 1)
        shown = np.clip((pixels - low) / (high - low), 0, 1) ** 0.8 * 254 + 1
        shown[:, (pixels == 0).all(axis=0)] = 0
        return np.rint(shown).astype(np.uint8)


@dataclass(frozen=True)
class Tree:
    """A folder's checksums: SHA-256 of each file by path, and of the list itself, which is what
    `find . -type f | sort | xargs sha256sum | sha256sum` prints in the folder."""

    sums: dict[str, str]
    size: int

    def fields(self) -> dict[str, Any]:
        """The file extension's fields for the folder as one asset."""
        listing = "".join(f"{digest}  ./{name}\n" for name, digest in self.sums.items())
        return {
            "file:size": self.size,
            "file:checksum": objects.SHA256 + hashlib.sha256(listing.encode()).hexdigest(),
        }


def tree(folder: Path) -> Tree:
    """Checksums of all files of a folder, in C order of their paths."""
    found = dict(sorted(_files(str(folder), "")))
    return Tree(
        {name: sha256(path) for name, (path, _) in found.items()}, sum(size for _, size in found.values())
    )


def _files(folder: str, inside: str) -> Iterator[tuple[str, tuple[str, int]]]:
    """Name, path and bytes of every file of a folder. Not by pathlib: tens of files a site, for all sites."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, f"{inside}{entry.name}/")
            else:
                yield f"{inside}{entry.name}", (entry.path, entry.stat().st_size)


def stretch(images: NDArray[Any], recipe: Recipe) -> Stretch:
    """The sensor's percentiles of each shown band over all dates (date, band, y, x); none for 8-bit
    images, which are shown as they are."""
    ends = recipe.profile.stretch
    if recipe.sensor.encoding.is_picture or ends is None:
        return Stretch(np.ones(3, np.float32), np.full(3, 255, np.float32))
    found = []
    for band in recipe.sensor.rgb:
        values = images[:, recipe.sensor.bands.index(band)]
        values = values[values > 0]
        low, high = np.percentile(values, ends) if values.size else (0, 1)
        found.append((low, max(high, low + 1)))
    low, high = np.array(found, np.float32).T
    # One range for all three keeps the colours' balance.
    return Stretch(np.full(3, low.min() * 0.8, np.float32), np.full(3, high.max(), np.float32))


def shown(pixels: NDArray[Any], recipe: Recipe, look: Stretch) -> NDArray[np.uint8]:
    """An image (band, y, x) as 8-bit red, green and blue (3, y, x), nodata 0."""
    rgb = pixels[[recipe.sensor.bands.index(band) for band in recipe.sensor.rgb]]
    return rgb.astype(np.uint8) if recipe.sensor.encoding.is_picture else look.apply(rgb)


def colours_of(recipe: Recipe) -> str:
    """What the bands that are shown as red, green and blue are together."""
    return "True colour" if recipe.sensor.encoding.is_averaged else "Three bands"


def write(
    folder: Path, recipe: Recipe, site: Site, pixels: NDArray[Any], mask: NDArray[np.uint8],
    clear: NDArray[np.uint8], look: Stretch, label: str,
) -> dict[str, pystac.Asset]:  # fmt: skip
    """Write an item's own files and describe them as assets."""
    rgb, box = shown(pixels, recipe, look), site.grid
    visual, mine, seen = (folder / name for name in ("visual.tif", "mine.tif", "clear.tif"))
    thumbnail, footprint = folder / "thumbnail.png", folder / "footprint.geojson"
    # In pictures black is a colour, and no number stands for no data.
    seen_at = cube.has_data(pixels, clear) if recipe.sensor.encoding.is_picture else None
    nodata = {} if recipe.sensor.encoding.is_picture else {"nodata": 0}
    cog.write(
        visual, rgb, box, nodata.get("nodata"), ("red", "green", "blue"), is_rgb=True, overviews="average",
        has_data=seen_at,
    )  # fmt: skip
    cog.write(mine, mask[np.newaxis], box, UNKNOWN, ("mine",), colours=COLOURS)
    cog.write(seen, clear[np.newaxis], box, UNKNOWN, ("clear",))
    _write_thumbnail(thumbnail, rgb)
    _write_preview(folder / "preview.png", rgb, mask)
    _write_footprint(footprint, site, mask, label)
    placed: dict[str, Any] = {
        "proj:shape": list(box.shape), "proj:transform": list(box.transform)[:6], "data_type": "uint8",
    }  # fmt: skip
    path = folder / "reflectance.tif"
    more = _bands(path, recipe, site, pixels, seen_at, placed) if recipe.publish.bands else {}
    colour = colours_of(recipe)
    colours = [{"name": name, "eo:common_name": name} for name in ("red", "green", "blue")]
    return {
        **more,
        "visual": objects.asset(
            visual, folder, f"{colour}, 8 bit, one stretch for all dates", objects.COG, ["visual"],
            bands=colours, **nodata, **placed,
        ),
        "mine-cog": objects.asset(
            mine, folder, "Mine footprint mask", objects.COG, ["data", "labels"], bands=[{"name": "mine"}],
            nodata=UNKNOWN, **{"classification:classes": CLASSES}, **placed,
        ),
        "clear-cog": objects.asset(
            seen, folder, "Number of clear observations, 0 none", objects.COG, ["data", "cloud"],
            bands=[{"name": "clear"}], **placed,
        ),
        "footprint": objects.asset(footprint, folder, "Mine footprint", objects.ITEM, ["labels"]),
        "preview": objects.asset(
            folder / "preview.png", folder, f"{colour} with the footprint's outline", "image/png",
            ["overview"],
        ),
        "thumbnail": objects.asset(thumbnail, folder, "Thumbnail", "image/png", ["thumbnail"]),
    }  # fmt: skip


def write_changes(
    folder: Path, site: Site, drawn: Mapping[str, NDArray[np.uint8]]
) -> dict[str, pystac.Asset]:
    """Write change that was labelled as such, a mask (y, x) for each first period."""
    found = {}
    for t1, mask in drawn.items():
        path = folder / f"change_{t1}.tif"
        cog.write(path, mask[np.newaxis], site.grid, UNKNOWN, ("change",), colours=COLOURS)
        found[f"change-cog-{t1}"] = objects.asset(
            path, folder, f"Change since {t1}: 0 unchanged, 1 changed", objects.COG, ["data", "labels"],
            bands=[{"name": "change"}], nodata=UNKNOWN, data_type="uint8",
        )  # fmt: skip
    return found


def _bands(
    path: Path, recipe: Recipe, site: Site, pixels: NDArray[Any], has_data: NDArray[np.bool_] | None,
    placed: dict[str, Any],
) -> dict[str, pystac.Asset]:  # fmt: skip
    """The image with all its bands as one GeoTIFF, for GIS."""
    sensor = recipe.sensor
    kind = sensor.encoding
    overviews = "average" if kind.is_averaged else "nearest"
    stored = encoding.stored(pixels, kind.dtype)
    cog.write(
        path, stored, site.grid, kind.nodata, sensor.bands, scale=kind.scale, overviews=overviews,
        has_data=has_data,
    )  # fmt: skip
    fields = {
        **placed, "data_type": kind.dtype, **nodata_of(kind), "bands": bands_of(recipe),
        "eo:bands": _older_bands(recipe),
    }  # fmt: skip
    title = f"{kind.title} of all bands"
    return {f"{kind.kind}-cog": objects.asset(path, path.parent, title, objects.COG, kind.roles, **fields)}


def nodata_of(kind: Encoding) -> dict[str, int]:
    """Return the field of STAC that says which number is no data; none for pictures, whose files have a
    mask."""
    return {} if kind.nodata is None else {"nodata": kind.nodata}


def bands_of(recipe: Recipe) -> list[dict[str, Any]]:
    """The sensor's bands as STAC has them."""
    factor = recipe.sensor.encoding.scale
    scale = {} if factor is None else {"raster:scale": factor}
    common = recipe.profile.common
    return [
        {"name": band, **({"eo:common_name": common[band]} if band in common else {}), **scale}
        for band in recipe.sensor.bands
    ]


def _older_bands(recipe: Recipe) -> list[dict[str, Any]]:
    """The bands' names in the words of STAC 1.0, by which odc-stac 0.5 and others still go."""
    return [
        {key.removeprefix("eo:"): value for key, value in band.items() if not key.startswith("raster:")}
        for band in bands_of(recipe)
    ]


def outlined(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with the footprint's inner edge drawn."""
    inside = mask == 1
    core = inside.copy()
    for axis in (0, 1):
        for step in (1, -1):
            core &= np.roll(inside, step, axis)
    picture = image.copy()
    picture[inside & ~core] = OUTLINE
    return picture


def _write_preview(path: Path, rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """A picture that every browser shows, with the footprint's outline."""
    picture = Image.fromarray(outlined(np.moveaxis(rgb, 0, -1), mask))
    factor = max(1, PREVIEW // max(picture.size) // 2)
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((PREVIEW, PREVIEW))
    picture.save(path)


def _write_thumbnail(path: Path, rgb: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(np.moveaxis(rgb, 0, -1))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    picture.save(path)


def _write_footprint(path: Path, site: Site, mask: NDArray[np.uint8], label: str) -> None:
    """The mask's outline in EPSG:4326; no feature where the period is unknown."""
    traced = raster.outline(mask == 1, site.grid.transform)
    known = bool((mask != UNKNOWN).any())
    area = round(float((mask == 1).sum()) * site.pixel_km2, 6)
    outline = geodesy.to_lonlat(traced, site.epsg) if not traced.is_empty and site.epsg else None
    feature = {
        "type": "Feature",
        "properties": {"site_id": site.site_id, "period": label, "area_km2": area},
        "geometry": json.loads(shapely.to_geojson(outline)) if outline is not None else None,
    }
    write_json({"type": "FeatureCollection", "features": [feature] if known else []}, path)
