"""Published files as a benchmark: what each stage takes from them instead of making it.

A layout lists the sites that files hold and reads their pixels and labels; nothing is searched, chosen,
resampled or tiled anew. Files that are tiles without a place become sites of many tiles, one below the
other in one cube, so that the windows of `tile` are the tiles as published.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.core import tables
from pipeline.core.errors import InputError, WorkError
from pipeline.core.layout import Benchmark
from pipeline.core.masks import UNKNOWN
from pipeline.cubes import cube
from pipeline.geo import geodesy
from pipeline.recipe import Import, Recipe
from pipeline.sites import countries

log = logging.getLogger(__name__)
Pair = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """A site as the files have it. `images` are its periods' files with their days (first, last);
    `tiles` are the names of its tiles, from the top, where it is a stack of tiles."""

    name: str
    shape: tuple[int, int]
    images: Mapping[str, "Dated"]
    split: str
    grid: GeoBox | None = None
    country: str | None = None
    tiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dated:
    """One period's image: what it is called, and its first and last possible day of acquisition."""

    file: str
    first: date
    last: date
    dated_by: str = "file name"

    @property
    def day(self) -> date | None:
        """The day of acquisition, where it is known."""
        return self.first if self.first == self.last else None


@dataclass(frozen=True)
class Facts:
    """What a layout says of a benchmark, as parts of its recipe."""

    title: str
    sensor: Mapping[str, Any]
    periods: Mapping[str, Any]
    tiling: Mapping[str, Any]
    labels: Mapping[str, Any]
    pairs: Any
    citation: str
    left_out: tuple[str, ...] = field(default=())
    """What was not taken in, and why."""


class Layout(Protocol):
    """How somebody publishes a benchmark's files."""

    def facts(self) -> Facts:
        """The recipe's parts. InputError names the file that does not fit."""
        ...

    def sites(self) -> list[Found]:
        """Every site, by name."""
        ...

    def image(self, site: Found, label: str) -> NDArray[Any]:
        """Pixels of a period (band, y, x), nodata 0."""
        ...

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        """Footprint of a period (y, x) in {0, 1, 255}, where footprints are published."""
        ...

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        """Published change masks (y, x) in {0, 1, 255} by pair of periods; empty without."""
        ...

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        """The area that was labelled (y, x), where it is published."""
        ...

    def files(self, site: Found) -> list[Path]:
        """The files that a site's images and labels are read from."""
        ...


def open(benchmark: Benchmark, recipe: Recipe) -> Layout:
    """The layout that the recipe's source names."""
    assert isinstance(recipe.source, Import)
    path = recipe.source.path
    return opened(recipe.source.layout, path if path.is_absolute() else benchmark.root / path)


@lru_cache(maxsize=4)
def opened(layout: str, path: Path) -> Layout:
    """A folder in a named layout. InputError where it is not there."""
    from pipeline.sources.import_.from_euromine import EuroMine
    from pipeline.sources.import_.from_minenetcd256 import MineNetCD256
    from pipeline.sources.import_.from_oms2cd import OMS2CD

    if not path.is_dir():
        raise InputError(f"There is no folder {path}.")
    kinds: dict[str, type] = {"minenetcd256": MineNetCD256, "oms2cd": OMS2CD, "euromine": EuroMine}
    found: Layout = kinds[layout](path)
    return found


def _site(layout: Layout, site_id: str) -> Found:
    return next(site for site in layout.sites() if site.name == site_id)


def lay_out(benchmark: Benchmark, recipe: Recipe) -> gpd.GeoDataFrame:
    """The table of sites. Sites without a place have an empty AOI, epsg 0 and no country."""
    layout = open(benchmark, recipe)
    rows = [_row(site, recipe) for site in layout.sites()]
    if not rows:
        raise InputError(f"{benchmark.recipe}: source.path holds no site.")
    sites = gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).sort_values("site_id", ignore_index=True)
    if (twice := sites.site_id[sites.site_id.duplicated()]).size:
        raise InputError(f"Two sites of {benchmark.name} are called {twice.iloc[0]}: rename one's files.")
    placed = sites.epsg > 0
    if placed.any():
        named = countries.complete(sites.country[placed], sites.geometry[placed])
        sites["country"] = sites.country.astype(object)
        sites.loc[placed, "country"] = named
    sites["footprint"] = gpd.GeoSeries([None] * len(sites), crs=4326)
    return sites


def _row(site: Found, recipe: Recipe) -> dict[str, Any]:
    box, pixel = site.grid, recipe.sensor.resolution
    if box is not None and (box.crs is None or not box.crs.epsg):
        raise InputError(
            f"{site.name}: its files' CRS has no EPSG code; assign one, for example with gdal_edit."
        )
    outline = box.extent.to_crs(4326).geom if box is not None else shapely.Polygon()
    transform = box.transform if box is not None else None
    area = abs(geodesy.WGS84.geometry_area_perimeter(outline)[0]) / 1e6
    if box is None:
        area = site.shape[0] * site.shape[1] * pixel**2 / 1e6
    return {
        "site_id": site.name, "name": site.name, "country": site.country, "commodity": None,
        "production": None, "source": recipe.source.name, "area_km2": round(area, 6),
        "epsg": int(box.crs.epsg) if box is not None else 0,
        "left": transform.c if transform else 0.0, "top": transform.f if transform else 0.0,
        "height": site.shape[0], "width": site.shape[1],
        "pixel_x": transform.a if transform else pixel, "pixel_y": transform.e if transform else -pixel,
        "mines": 1, "repaired": False, "geometry": outline,
    }  # fmt: skip


def scenes(benchmark: Benchmark, recipe: Recipe, sites: gpd.GeoDataFrame) -> pd.DataFrame:
    """The table of scenes: one row an image, all of them chosen by whoever published them."""
    from pipeline.scenes.selector import ROW

    known = {site.name: site for site in open(benchmark, recipe).sites()}
    empty: dict[str, Any] = {
        "source": recipe.source.name, "level": "", "cloud": np.nan, "clear": np.nan, "selected": True,
        "reason": "", "day_clear": np.nan, "cloud_cover": np.nan, "baseline": "", "offset": 0,
        "offset_from": "",
        "dx": np.nan, "dy": np.nan, "confidence": np.nan, "dx_left": np.nan, "dy_left": np.nan,
        "corrected": False, "request": "", "choice": "", "checksum": "",
    }  # fmt: skip
    rows = []
    for site_id in sites.site_id:
        for label, image in known[site_id].images.items():
            rows.append({
                **empty, "site_id": site_id, "period": label, "scene_id": Path(image.file).stem,
                "href": image.file, "datetime": image.day,
                "day": str(image.day or ""), "dated_by": image.dated_by,
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=list(ROW))
    return table.assign(datetime=pd.to_datetime(table.datetime, utc=True)).astype(ROW)


def compose_site(task: tuple[Benchmark, Recipe, Any, pd.DataFrame, int]) -> tuple[list[dict[str, Any]], bool]:
    """A site's cube from its files as they are; see `pipeline.cubes.compose` for the rows."""
    benchmark, recipe, site, _, _ = task
    layout = open(benchmark, recipe)
    found = _site(layout, site.site_id)
    path = benchmark.cube(site.site_id)
    inputs = [_stamp(layout, found), recipe.sensor.model_dump(), recipe.tiling.size]
    code = (sys.modules[__name__], sys.modules[type(layout).__module__])
    print_ = tables.fingerprint(inputs, code)
    if (kept := cube.rows_of(path, print_)) is not None:
        return kept, False
    known = {period.label: period for period in recipe.periods.periods()}
    images, rows = [], []
    for label, dated in found.images.items():
        pixels = layout.image(found, label)
        expected = (len(recipe.sensor.bands), *found.shape)
        if pixels.shape != expected:
            raise InputError(f"{dated.file}: its pixels are {pixels.shape}, not {expected} (band, y, x).")
        # In 8-bit pictures black is a colour; reflectance of 0 in all bands is no data.
        has_data = (pixels > 0).any(axis=0) | (recipe.sensor.dtype == "uint8")
        seen = np.asarray(has_data, np.uint8)
        days = [str(dated.day)] if dated.day else []
        images.append(cube.Image(known[label], pixels, seen, [Path(dated.file).stem], days))
        row = {"site_id": site.site_id, "period": label, "days": 1, "scenes": 1, "images": print_}
        rows.append({**row, "clear": float(seen.mean()), "kept": True, "reason": ""})
    aoi = layout.aoi(found)
    cube.write(path, site, recipe, images, np.ones(found.shape, bool) if aoi is None else aoi, print_, rows)
    return rows, True


def _stamp(layout: Layout, site: Found) -> list[Any]:
    """What tells whether a site's files, labels too, are those of the last run: names, sizes, times."""
    stats = [(path.name, path.stat()) for path in layout.files(site)]
    return [site.tiles, *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)]


def labels(
    benchmark: Benchmark, recipe: Recipe, site: Any, names: list[str]
) -> tuple[NDArray[np.uint8], dict[Pair, NDArray[np.uint8]]]:
    """Masks (period, y, x) and change masks as published; see `pipeline.cubes.annotate.labels_of`."""
    layout = open(benchmark, recipe)
    found = _site(layout, site.site_id)
    unknown = np.full(found.shape, UNKNOWN, np.uint8)
    masks = [layout.mask(found, name) for name in names]
    change = layout.changes(found) if recipe.labels.kind == "change" else {}
    if recipe.labels.kind == "change" and not change:
        raise WorkError(f"{site.site_id} has no change mask.")
    return np.stack([unknown if mask is None else mask for mask in masks]), change


def published_names(benchmark: Benchmark, recipe: Recipe) -> pd.DataFrame:
    """Which file each tile of a stack was: site_id, y0, file. Empty where sites are scenes."""
    found = open(benchmark, recipe).sites()
    size = recipe.tiling.size
    rows = [(site.name, k * size, name) for site in found for k, name in enumerate(site.tiles)]
    return pd.DataFrame(rows, columns=["site_id", "y0", "file"])
