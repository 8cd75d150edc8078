"""Stage `fetch`: the scenes each period needs, read onto the site's grid and kept.

    index/scenes.parquet               every candidate scene, with its fate
    scenes/<site_id>/<scene>_20m.tif   bands at one pixel size; uint16 or uint8, nodata 0
    scenes/<site_id>/<scene>_SCL.tif   scene classes, where the source has them
    scenes/<site_id>/SHA256SUMS        of every file above; `sha256sum -c` reads it
    scenes/<site_id>/scenes.parquet    the site's rows; written last

The mask of every candidate is read first, the bands only of the chosen ones. Bands whose own grid
fits the site's are kept in their own pixel size, coarse ones with an apron of one pixel for the
interpolation in `compose`; all others are resampled here, once, onto the target grid.
"""

import json
import logging
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from models.files import replacing, sha256
from pipeline import geodesy, grid, selection, sources, tables
from pipeline.layout import Benchmark, prune
from pipeline.parallel import each_site
from pipeline.recipe import Recipe, Synthetic
from pipeline.selection import Candidate
from pipeline.sources import Scene, Source, local, raster, sentinel2, stac

log = logging.getLogger(__name__)
CODE = (sys.modules[__name__], selection, raster, stac, local, sentinel2)
SUMS = "SHA256SUMS"


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Fetch what is missing for every site and write the table of scenes. Returns how many sites
    had anything to do. WorkError names the scenes that could not be read; the next run takes up
    those only."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    prune(benchmark.data / "scenes", set(sites.site_id))
    tasks = [(benchmark, recipe, row) for row in sites.itertuples()]
    done = each_site("fetch", tasks, _fetch_site, workers, scheduler)
    rows = [pd.read_parquet(benchmark.scenes(site_id) / "scenes.parquet") for site_id in sites.site_id]
    tables.write(pd.concat(rows, ignore_index=True), benchmark.table("scenes"))
    return sum(done)


def _fetch_site(task: tuple[Benchmark, Recipe, Any]) -> bool:
    """Fetch one site; False where the kept files are whole and of the same inputs."""
    benchmark, recipe, site = task
    folder = benchmark.scenes(site.site_id)
    pixels = [recipe.source.model_dump(), recipe.sensor.model_dump(), _grid_text(site)]
    if isinstance(recipe.source, Synthetic):
        pixels.append((benchmark.archive / site.site_id / "collection.json").read_text())
    pixels_print = tables.fingerprint(pixels, CODE)
    choice = [
        pixels_print,
        recipe.selection.model_dump(),
        recipe.periods.model_dump(),
        site.geometry.wkt,
    ]
    choice_print = tables.fingerprint(choice)
    kept = Kept.prepared(folder, pixels_print)
    if kept.is_whole(choice_print):
        return False
    source = sources.open(benchmark, recipe)
    fetcher = _Fetcher(source, recipe, site, kept)
    rows = [row for period in recipe.periods.periods() for row in fetcher.period(period)]
    kept.forget_others()
    table = pd.DataFrame(rows, columns=list(ROW)).astype(ROW)
    table.attrs = {"fingerprint": choice_print, "files": sorted(kept.sums)}
    tables.write(table, folder / "scenes.parquet")
    return True


ROW = {
    "site_id": "str", "period": "str", "scene_id": "str", "datetime": "datetime64[ms, UTC]",
    "source": "str", "level": "str", "cloud": "float64", "clear": "float64", "selected": "bool",
    "reason": "str", "day": "str", "day_clear": "float64", "cloud_cover": "float64",
    "baseline": "str", "offset": "int64",
}  # fmt: skip
"""Columns of `scenes`. `cloud`, `clear` and `day_clear` are fractions of the AOI, NaN where the
scene was ruled out unread; `day` is the solar day; `cloud_cover` is the provider's, per cent;
`offset` is what was taken from the digital numbers."""


class _Fetcher:
    """One site's search, choice and reading."""

    def __init__(self, source: Source, recipe: Recipe, site: Any, kept: "Kept") -> None:
        self.source, self.recipe, self.site, self.kept = source, recipe, site, kept
        self.grid = grid.of_site(site, recipe.sensor.resolution)
        self.mask_grid = mask_grid(self.grid, recipe, source)
        self.longitude, self.latitude = geodesy.centre(site.geometry)
        self.aoi = aoi_pixels(site, self.mask_grid)

    def period(self, period: Any) -> list[dict[str, Any]]:
        """All candidates of a period as rows; the chosen ones' bands are on disk afterwards."""
        rule = self.recipe.selection
        season = rule.season.at(self.latitude) if rule.season else None
        first, last = period.search_window(season)
        scenes = self.source.search(self.site.geometry, first, last)
        candidates = [Candidate(scene, scene.solar_day(self.longitude)) for scene in scenes]
        for candidate in candidates:
            if not selection.reject_by_metadata(candidate, rule):
                selection.measure(candidate, self._classes(candidate.scene), self.aoi, rule)
        selection.choose(candidates, self.aoi, rule)
        for candidate in candidates:
            if candidate.selected:
                self._keep_bands(candidate.scene)
        return [self._row(period.label, candidate) for candidate in candidates]

    def _classes(self, scene: Scene) -> NDArray[np.uint8]:
        """Scene classes on the mask grid; without a mask band 4 where there is data, else 0."""
        band = self.source.mask_band
        if band is None:
            bands = self._keep_bands(scene)
            has_data = np.all([self.kept.read(path).all(axis=0) for path in bands], axis=0)
            return np.where(has_data, np.uint8(4), np.uint8(0))
        name = f"{scene.id}_{band}.tif"
        if not self.kept.has(name):
            pixels = self.source.read(scene, [band], self.mask_grid)
            self.kept.write(name, pixels.astype(np.uint8), self.mask_grid, [band])
        return self.kept.read(name)[0].astype(np.uint8)

    def _keep_bands(self, scene: Scene) -> list[str]:
        """Read and keep a scene's bands, one file for each pixel size; returns their names."""
        names = []
        for area, bands in by_grid(self.source, scene, self.recipe, self.grid):
            name = f"{scene.id}_{area.resolution.x:g}m.tif"
            if not self.kept.has(name):
                pixels = self.source.read(scene, bands, area)
                self.kept.write(name, pixels.astype(self.recipe.sensor.dtype), area, bands)
            names.append(name)
        return names

    def _row(self, period: str, candidate: Candidate) -> dict[str, Any]:
        scene = candidate.scene
        return {
            "site_id": self.site.site_id,
            "period": period,
            "scene_id": scene.id,
            "datetime": pd.Timestamp(scene.time),
            "source": scene.source,
            "level": scene.level,
            "cloud": candidate.cloud,
            "clear": candidate.clear,
            "selected": candidate.selected,
            "reason": candidate.reason,
            "day": str(candidate.day),
            "day_clear": candidate.day_clear,
            "cloud_cover": np.nan if scene.cloud_cover is None else scene.cloud_cover,
            "baseline": scene.baseline,
            "offset": scene.offset,
        }


class Kept:
    """A site's folder of fetched files, each with its checksum.

    A file counts only with a matching line in SHA256SUMS, which is appended after the file has
    its final name; so a kill leaves at most a file that is fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.sums = read_sums(folder)

    @classmethod
    def prepared(cls, folder: Path, pixels_print: str) -> "Kept":
        """The folder for these pixels; files of another source, grid or set of bands go."""
        origin = folder / "ORIGIN"
        if not origin.is_file() or origin.read_text() != pixels_print:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with replacing(origin) as temporary:
                temporary.write_text(pixels_print)
        return cls(folder)

    def is_whole(self, choice_print: str) -> bool:
        """Whether the site's table is of this choice and all its files are there and sound."""
        try:
            metadata = pq.read_schema(self.folder / "scenes.parquet").metadata
            written = json.loads(metadata[b"PANDAS_ATTRS"])
        except (OSError, KeyError, ValueError):
            return False
        sound = written["files"] == sorted(self.sums) and all(map(self._is_sound, self.sums))
        return sound and written["fingerprint"] == choice_print

    def has(self, name: str) -> bool:
        """Whether a file is kept already; also notes that this choice needs it."""
        self.used.add(name)
        return self._is_sound(name)

    def _is_sound(self, name: str) -> bool:
        path = self.folder / name
        return name in self.sums and path.is_file() and sha256(path) == self.sums[name]

    def read(self, name: str) -> NDArray[Any]:
        with rasterio.open(self.folder / name) as file:
            return file.read()

    def write(self, name: str, pixels: NDArray[Any], area: GeoBox, bands: Iterable[str]) -> None:
        """Keep (band, y, x) pixels as a GeoTIFF."""
        path = self.folder / name
        profile = {
            "driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "nodata": 0,
            "height": area.height, "width": area.width, "crs": str(area.crs),
            "transform": area.transform, "interleave": "band", "compress": "zstd",
            "zstd_level": 1, "predictor": 2, "tiled": True, "blockxsize": 256, "blockysize": 256,
        }  # fmt: skip
        with replacing(path) as temporary:
            with rasterio.open(temporary, "w", **profile) as file:
                file.write(pixels)
                file.descriptions = tuple(bands)
            digest = sha256(temporary)
        with (self.folder / SUMS).open("a") as sums:
            sums.write(f"{digest}  {name}\n")
        self.sums[name] = digest

    def forget_others(self) -> None:
        """Remove files of an earlier choice, and write the sums in order of name."""
        self.sums = {name: self.sums[name] for name in sorted(self.used)}
        for path in self.folder.iterdir():
            if path.name not in {*self.sums, SUMS, "ORIGIN", "scenes.parquet"}:
                path.unlink()
        with replacing(self.folder / SUMS) as temporary:
            temporary.write_text("".join(f"{digest}  {name}\n" for name, digest in self.sums.items()))


def read_sums(folder: Path) -> dict[str, str]:
    """File name to SHA-256; the last line of a file wins and a torn last line is no line."""
    path = folder / SUMS
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}


def by_grid(source: Source, scene: Scene, recipe: Recipe, target: GeoBox) -> list[tuple[GeoBox, list[str]]]:
    """Bands grouped by the grid they are read onto: their own where it fits the site's and is as
    fine or just twice as coarse (then with an apron), else the target."""
    coarse = mask_grid(target, recipe, source)
    found: dict[GeoBox, list[str]] = {}
    for band in recipe.sensor.bands:
        fits = coarse != target and grid.aligned(coarse, source.native(scene, band))
        found.setdefault(coarse.pad(1) if fits else target, []).append(band)
    return list(found.items())


def mask_grid(target: GeoBox, recipe: Recipe, source: Source) -> GeoBox:
    """Grid of the scene classes: twice the target's pixel where the site is snapped to that (as
    Sentinel-2's 20 m for 10 m), else the target's."""
    double = recipe.sensor.snap == 2 * recipe.sensor.resolution
    return grid.coarsened(target, 2 * recipe.sensor.resolution) if source.mask_band and double else target


def aoi_pixels(site: Any, area: GeoBox) -> NDArray[np.bool_]:
    """Pixels of the AOI on a grid, by their centres."""
    outline = geodesy.project(site.geometry, 4326, int(site.epsg))
    return rasterize([outline], out_shape=area.shape, transform=area.transform).astype(bool)


def _grid_text(site: Any) -> str:
    return f"{site.epsg} {site.left} {site.top} {site.height} {site.width}"
