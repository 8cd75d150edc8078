"""A folder of dated GeoTIFFs, such as images exported by hand."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from models.errors import InputError, WorkError
from pipeline.recipe import Local
from pipeline.sources import Asset, Scene, Source, raster

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y")


class LocalSource:
    """See `pipeline.sources.Source`. A file is a scene; pixels with data are clear."""

    mask_band: str | None = None

    def __init__(self, options: Local, root: Path) -> None:
        self.options = options
        self.folder = root / options.path
        self.files = self._listed()

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        found = [
            self._scene(path, day)
            for path, day in self.files
            if start <= day < end and _footprint(path).intersects(area)
        ]
        return sorted(found, key=lambda scene: (scene.time, scene.id))

    def native(self, scene: Scene, band: str) -> GeoBox:
        grid = scene.assets[band].grid
        assert grid is not None
        return grid

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if missing := [band for band in bands if band not in scene.assets]:
            raise InputError(f"source.bands does not say which band of the files is {missing[0]}.")
        assets = [scene.assets[band] for band in bands]
        return np.stack([raster.read(a.href, a.index, grid, Resampling.bilinear, a.nodata) for a in assets])

    def _listed(self) -> list[tuple[Path, date]]:
        """The folder's images with their dates. InputError where none fits the pattern."""
        if not self.folder.is_dir():
            raise InputError(f"source.path: there is no folder {self.folder}.")
        try:
            pattern = re.compile(self.options.pattern)
        except re.error as error:
            raise InputError(f"source.pattern is not a regular expression: {error}.") from None
        if "date" not in pattern.groupindex:
            raise InputError(r"source.pattern needs a group named date, such as (?P<date>\d{8}).")
        files = []
        for path in sorted(self.folder.iterdir()):
            if match := pattern.fullmatch(path.name):
                files.append((path, _date(match["date"], path)))
        if not files:
            raise InputError(f"source.pattern fits no file in {self.folder}.")
        return files

    def _scene(self, path: Path, day: date) -> Scene:
        with rasterio.open(path) as file:
            if (highest := max(self.options.bands.values())) > file.count:
                raise InputError(f"source.bands: {path} has {file.count} bands, not {highest}.")
            if file.crs is None:
                raise InputError(f"{path} has no CRS: assign one, for example with gdal_edit.")
            grid = raster.grid_of(file)
        assets = {
            band: Asset(str(path), grid, index, self.options.nodata)
            for band, index in self.options.bands.items()
        }
        time = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return Scene(path.stem, time, assets, "local")


def _date(text: str, path: Path) -> date:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise InputError(
        f"{path}: '{text}' is not a date; the pattern's group must be YYYY, YYYYMMDD or YYYY-MM-DD."
    )


def _footprint(path: Path) -> BaseGeometry:
    try:
        with rasterio.open(path) as file:
            return shapely.box(*transform_bounds(file.crs, 4326, *file.bounds))
    except RasterioError as error:
        raise WorkError(f"{path} cannot be read: {str(error).rstrip('.')}.") from None


_conforms: type[Source] = LocalSource
