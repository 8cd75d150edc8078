"""A folder of dated GeoTIFFs, such as images exported by hand."""

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import Field, model_validator
from rasterio.enums import Resampling
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from pipeline.core import tables
from pipeline.core.errors import InputError, WorkError
from pipeline.core.progress import progress
from pipeline.geo import raster
from pipeline.sensors.profile import Profile
from pipeline.sources import protocol
from pipeline.sources.protocol import Asset, Scene, Setting, Source, Upstream

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y")


class Options(protocol.Options):
    """A folder of dated GeoTIFFs. Dates come from `pattern`, a regular expression on the file name
    with a group `date` (YYYY, YYYYMMDD or YYYY-MM-DD), or from `dates`. A scene's id is its path within the
    folder."""

    name: Literal["local"]
    path: Path
    pattern: str | None = None
    dates: Path | None = None
    """CSV with columns file and date, and if need be nodata, a line a file."""
    bands: dict[str, Annotated[int, Field(ge=1)]]
    """Band name to 1-based band number in the file."""
    nodata: float | None = None
    """Overrides the files' own nodata value."""

    @model_validator(mode="after")
    def _check(self) -> "Options":
        if (self.pattern is None) == (self.dates is None):
            raise ValueError("give either pattern or dates")
        return self

    def open(self, setting: Setting) -> Source:
        return LocalSource(self, setting.root)

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        # Its name alone: where a user keeps files is nobody's business.
        named = f"Images in {self.path.name}" if self.path.name else "Own images"
        return [Upstream(named, "images", "of whoever made the files", "Files of the user.")]


@dataclass(frozen=True)
class Listed:
    """An image file with its date, and its nodata value where the list gives one. `name` is its path within
    the folder. Of some only the year is known: their day is its first."""

    name: str
    path: Path
    day: date
    nodata: float | None
    is_exact: bool = True

    @property
    def scene_id(self) -> str:
        """Its path within the folder, without what says its format."""
        return self.name.removesuffix(self.path.suffix)


class Images:
    """The images of a folder by their path in it and by place. Where they lie is read of each once, at the
    first question: a list of thousands of sites asks thousands of times. InputError where two of them
    would be one scene."""

    def __init__(self, files: list[Listed]) -> None:
        self.files = files
        scenes: dict[str, Listed] = {}
        for file in files:
            if (other := scenes.setdefault(file.scene_id, file)) is not file:
                if other.name == file.name:
                    raise InputError(f"source.dates lists {file.name} twice: leave one line.")
                raise InputError(f"{other.path} and {file.path} differ by their suffix alone: rename one.")
        self.by_name = {file.name: file for file in files}
        self.lock = threading.Lock()
        self.tree: shapely.STRtree | None = None

    def near(self, area: BaseGeometry) -> list[Listed]:
        """Those that touch an area (EPSG:4326), in the folder's order."""
        with self.lock:
            if self.tree is None:
                outlines = []
                with progress("looking through images", len(self.files), "files") as advance:
                    for file in self.files:
                        outlines.append(_footprint(file.path))
                        advance()
                self.tree = shapely.STRtree(outlines)
        return [self.files[i] for i in sorted(self.tree.query(area, predicate="intersects"))]


@lru_cache(maxsize=4)
def _looked_through(folder: Path, table: Path, options: str, *_read_at: int) -> Images:
    """The images of a folder; looked for again where the folder or the list has changed."""
    found = Options.model_validate_json(options)
    if found.dates is None:
        return Images(_by_pattern(folder, found.pattern or "", found.nodata))
    return Images(_by_list(folder, table, found.nodata))


class LocalSource:
    """See `pipeline.sources.protocol.Source`. A file is a scene; pixels with data are clear."""

    mask_band: str | None = None
    parallel = os.cpu_count() or 1

    def __init__(self, options: Options, root: Path) -> None:
        self.options = options
        self.folder = root / options.path
        if not self.folder.is_dir():
            raise InputError(f"source.path: there is no folder {self.folder}.")
        self.dated_by = "file name" if options.dates is None else "list"
        table = root / options.dates if options.dates else self.folder
        read_at = [path.stat().st_mtime_ns for path in (self.folder, table) if path.exists()]
        self.images = _looked_through(self.folder, table, options.model_dump_json(), *read_at)

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        found = [self._scene(file) for file in self.images.near(area) if start <= file.day < end]
        return sorted(found, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        if (file := self.images.by_name.get(href)) is not None:
            return self._scene(file)
        # Tables of earlier versions name a file without its folder.
        namesakes = [file for file in self.images.files if file.path.name == href]
        if len(namesakes) != 1:
            raise WorkError(f"{self.folder / href} is not there any more.")
        return replace(self._scene(namesakes[0]), id=namesakes[0].path.stem)

    def native(self, scene: Scene, band: str) -> GeoBox:
        grid = scene.assets[band].grid
        if grid is None:
            raise WorkError(f"{scene.id} has no grid.")
        return grid

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if missing := [band for band in bands if band not in scene.assets]:
            raise InputError(f"source.bands does not say which band of the files is {missing[0]}.")
        assets = [scene.assets[band] for band in bands]
        first = assets[0]  # a scene is one file
        indexes = [asset.index for asset in assets]
        return raster.read_bands(first.href, indexes, grid, Resampling.bilinear, first.nodata)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        return 0

    def _scene(self, file: Listed) -> Scene:
        with raster.opened(str(file.path)) as opened:
            if (highest := max(self.options.bands.values())) > opened.count:
                raise InputError(f"source.bands: {file.path} has {opened.count} bands, not {highest}.")
            if opened.crs is None:
                raise InputError(f"{file.path} has no CRS: assign one, for example with gdal_edit.")
            grid = raster.grid_of(opened)
        assets = {
            band: Asset(str(file.path), grid, index, file.nodata)
            for band, index in self.options.bands.items()
        }
        time = datetime(file.day.year, file.day.month, file.day.day, 12, tzinfo=UTC)
        dated_by = self.dated_by if file.is_exact else f"{self.dated_by}, year only"
        return Scene(file.scene_id, time, assets, "local", href=file.name, dated_by=dated_by)


def _by_pattern(folder: Path, text: str, nodata: float | None) -> list[Listed]:
    """The folder's images with the dates in their names. InputError where none fits."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"source.pattern is not a regular expression: {error}.") from None
    if "date" not in pattern.groupindex:
        raise InputError(r"source.pattern needs a group named date, such as (?P<date>\d{8}).")
    files = []
    for path in sorted(folder.iterdir()):
        if match := pattern.fullmatch(path.name):
            day = _date(match["date"], str(path))
            files.append(Listed(path.name, path, day, nodata, len(match["date"]) > 4))
    if not files:
        raise InputError(f"source.pattern fits no file in {folder}.")
    return files


def _by_list(folder: Path, table: Path, nodata: float | None) -> list[Listed]:
    """The images that a CSV lists. InputError names its row and the mend."""
    rows = tables.read_csv(table, "source.dates")
    if missing := {"file", "date"} - set(rows.columns):
        raise InputError(f"{table} needs a column {sorted(missing)[0]}.")
    files = []
    for number, row in enumerate(rows.to_dict("records"), 2):
        where = f"{table} line {number}"
        path = folder / str(row["file"])
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise InputError(f"{where}: {folder} has no file '{row['file']}'.")
        own = row.get("nodata")
        try:
            value = nodata if own is None or pd.isna(own) else float(own)
        except ValueError:
            raise InputError(f"{where}: nodata '{own}' is not a number.") from None
        given = str(row["date"])
        name = Path(os.path.normpath(str(row["file"]))).as_posix()
        files.append(Listed(name, path, _date(given, where), value, len(given) > 4))
    if not files:
        raise InputError(f"{table} lists no files.")
    return files


def _date(text: str, where: str) -> date:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise InputError(f"{where}: '{text}' is not a date; it must be YYYY, YYYYMMDD or YYYY-MM-DD.")


def _footprint(path: Path) -> BaseGeometry:
    with raster.opened(str(path)) as file:
        if file.crs is None:
            raise InputError(f"{path} has no CRS: assign one, for example with gdal_edit.")
        return shapely.box(*transform_bounds(file.crs, 4326, *file.bounds))


_conforms: type[Source] = LocalSource
