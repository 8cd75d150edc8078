"""What a folder of a user's own images holds: enough for the lines of a recipe."""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import shapely
from rasterio.io import DatasetReader
from shapely.geometry.base import BaseGeometry

from pipeline.core.errors import InputError
from pipeline.geo import grid, raster
from pipeline.interchange import band_names, file_names, number_guess
from pipeline.interchange.number_guess import Scale
from pipeline.sources.local import image_places

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Images:
    """`pattern` finds the date in a file's name, and the band where `bands` are words; `resolution` is in
    metres. `masks` are words of masks beside the bands, `left_out` files that are no images."""

    path: Path
    pattern: str
    years: list[str]
    bands: dict[str, int | str]
    about_bands: str
    rgb: tuple[str, str, str]
    dtype: str
    resolution: float
    scale: Scale | None
    masks: list[str]
    left_out: list[str]

    @property
    def is_by_band(self) -> bool:
        """Whether each band is a file of its own."""
        return any(isinstance(value, str) for value in self.bands.values())

    @property
    def is_guess(self) -> bool:
        """Whether nothing but their number tells which band is which."""
        return "guess" in self.about_bands

    @property
    def has_guess(self) -> bool:
        """Whether the recipe holds a guess about the bands or their numbers."""
        return self.is_guess or (self.scale is not None and "guess" in self.scale.about)

    @property
    def scl(self) -> str | None:
        """The word of a mask that has SCL's classes."""
        return next((word for word in self.masks if word.upper() == "SCL"), None)


@dataclass(frozen=True)
class Looked:
    """What one file says of itself."""

    name: str
    bands: band_names.Bands
    count: int
    dtype: str
    scale: Scale | None
    pixel_m: float
    ground: BaseGeometry


def look(folder: Path) -> Images:
    """The folder's bands, pixel and years, by its files' names and the files of one date. InputError where it
    is no folder of dated GeoTIFFs that a recipe can name."""
    named = file_names.read(_names(folder), str(folder))
    files = [_look_at(folder, name) for name in named.of_one_date()]
    first = files[0]
    if named.words:
        words = band_names.in_order(named.words)
        bands: dict[str, int | str] = {word: word for word in words}
        about = "the word in each file's name"
        if many := next((file for file in files if file.count > 1), None):
            raise InputError(f"{folder / many.name} is named after one band and has {many.count}: rename it.")
    else:
        _check_one_image(files, folder)
        bands, about = dict(first.bands.numbers), first.bands.about
    scales = {file.scale for file in files if file.scale}
    pixel_m = min(file.pixel_m for file in files)
    return Images(
        folder, named.pattern, sorted({date[:4] for date in named.dates}), bands, about,
        band_names.shown(list(bands)), "uint16" if scales else _widest(files), _rounded(pixel_m),
        _one_scale(files, folder), named.masks, named.left_out,
    )  # fmt: skip


def _names(folder: Path) -> list[str]:
    """The names of a folder's GeoTIFFs."""
    paths = sorted(folder.glob("*"))
    if names := [path.name for path in paths if path.suffix.lower() in SUFFIXES]:
        return names
    others = [path.name for path in paths if path.suffix.lower() == ".jp2"]
    mend = f" Convert its JPEG 2000 files: gdal_translate {others[0]} OUT.tif, for each." if others else ""
    raise InputError(f"--images: {folder} holds no GeoTIFFs ({', '.join(SUFFIXES)}).{mend}")


def _look_at(folder: Path, name: str) -> Looked:
    path = str(folder / name)
    with raster.opened(path) as file:
        if file.crs is None:
            raise InputError(f"{path} has no CRS: assign one, for example with gdal_edit.")
        pixel = math.sqrt(grid.pixel_m2(raster.grid_of(file), abs(file.transform.a)))
        bands = band_names.of_file(file)
        scale = number_guess.of_file(file, path, next(iter(bands.numbers.values())))
        return Looked(name, bands, file.count, str(file.dtypes[0]), scale, pixel, shapely.box(*_bounds(file)))


def _bounds(file: DatasetReader) -> tuple[float, float, float, float]:
    left, bottom, right, top = file.bounds
    return left, bottom, right, top


def _check_one_image(files: list[Looked], folder: Path) -> None:
    """InputError where files of one date are not parts of one image, side by side."""
    for one, other in combinations(files, 2):
        if one.bands.numbers != other.bands.numbers:
            raise InputError(
                f"--images: {folder / one.name} and {other.name} are of one date and have other bands: leave "
                "only the files of one kind in the folder."
            )
        if image_places.cover_each_other(one.ground, other.ground):
            raise InputError(
                f"--images: several files of one date cover the same ground: {folder / one.name} and "
                f"{other.name}. Bands of one image must be named by words such as B04 or red; else leave one "
                "file per date and place."
            )


def _one_scale(files: list[Looked], folder: Path) -> Scale | None:
    """The scale of all files. InputError where they differ."""
    found = Counter((file.scale.scale, file.scale.offset) if file.scale else None for file in files)
    if len(found) > 1:
        one, other = files[0], next(file for file in files if _of(file) != _of(files[0]))
        raise InputError(
            f"--images: {folder / one.name} ({one.dtype}) and {other.name} ({other.dtype}) are of one date, "
            "and their numbers are not of one scale: convert one of them with gdal_translate."
        )
    return files[0].scale


def _of(file: Looked) -> tuple[float, float] | None:
    return (file.scale.scale, file.scale.offset) if file.scale else None


def _widest(files: list[Looked]) -> str:
    return "uint16" if any(file.dtype == "uint16" for file in files) else files[0].dtype


def _rounded(pixel: float) -> float:
    """Two significant digits: 5.0, 1.2, 87."""
    digits = 1 - math.floor(math.log10(pixel))
    return round(pixel, digits)
