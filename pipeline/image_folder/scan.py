"""Look through a folder of a user's own images, by their names and by what each file says of itself."""

import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from pathlib import Path

import shapely
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError
from minebench.progress import progress
from minebench.text import counted, few
from pipeline.geo import grid, raster
from pipeline.image_folder import (  # fmt: skip
    band_names,
    contents,
    cube_files,
    file_names,
    mask_guess,
    number_guess,
    products,
    seasons,
)
from pipeline.image_folder.contents import Images
from pipeline.image_folder.file_names import Named
from pipeline.image_folder.mask_guess import Mask
from pipeline.image_folder.number_guess import Numbers, Scale
from pipeline.image_folder.products import Product
from pipeline.image_folder.seasons import Years
from pipeline.sources.local import dated_files, image_cubes, image_places, product_baselines, tree


@dataclass(frozen=True)
class Looked:
    """What one file says of itself."""

    name: str
    bands: band_names.Bands
    count: int
    numbers: Numbers
    pixel_m: float
    crs: str
    outline: BaseGeometry
    """In EPSG:4326."""


def look(folder: Path, sensor: str | None = None) -> Images:
    """The folder's bands, pixel and dates, by its files' names and by what each file says of itself; of one
    sensor's files alone where it is named. InputError where it is no folder of dated images that a recipe can
    name."""
    if sensor is not None and sensor not in products.SENSORS:
        raise InputError(f"--sensor: there is no '{sensor}'; it may be {', '.join(products.SENSORS)}.")
    if not folder.exists():
        raise InputError(f"--images: there is no folder {folder}.")
    names = tree.images(folder) if folder.is_dir() else []
    return look_at(folder, names, sensor) if names else cube_files.look(folder)


def look_at(folder: Path, names: Sequence[str], sensor: str | None = None) -> Images:
    """The same of some of the folder's files, paths within it."""
    named = file_names.read(names, str(folder), sensor)
    product = products.of_name(named.images[0])
    files = _look_at_all(folder, named, product)
    first = next(iter(files.values()))
    if named.words:
        bands, about = _of_words(named, files, product, folder)
        in_file: dict[str, int] = {}
    else:
        _check_like(files, folder)
        numbers, in_file = mask_guess.apart(first.bands.numbers)
        bands, about = dict(numbers), first.bands.about
        _check_apart(files, named, folder)
    scale = number_guess.of_all({name: file.numbers for name, file in files.items()}, str(folder))
    mask = mask_guess.find(folder, named, in_file, product)
    days = sorted({dated_files.day(text, str(folder)) for text in named.dates})
    exact = all(len(text) > 4 for text in named.dates)
    offset = _offset(folder, named, product, list(bands), [*named.masks, *in_file], days, scale)
    if offset:
        # Pixels of two dates are compared by the bands' own names.
        bands = {products.canonical(band): value for band, value in bands.items()}
    outlines = [file.outline for file in files.values()]
    dtype = "uint16" if scale else _widest(files)
    zeros = product in (products.L2A, products.L1C) or any(file.numbers.has_zeros for file in files.values())
    found = Images(
        path=folder, pattern=named.pattern, layout=_layout(named), dates=days,
        years=seasons.of(days if exact else [], named.dates, outlines), bands=bands, about_bands=about,
        rgb=band_names.shown(list(bands)), dtype=dtype,
        resolution=contents.rounded(min(file.pixel_m for file in files.values())), scale=scale, mask=mask,
        crs=sorted({file.crs for file in files.values()}), outlines=outlines,
        left_out=[*named.left_out, *_unused(named, mask, in_file)],
        nodata=0 if zeros and dtype == "uint16" else None,
        profile=product.profile if product and mask and mask.is_own else "", offset=offset, has_days=exact,
        sensor=sensor,
    )  # fmt: skip
    dated = {name: (match["date"], files[name].numbers) for name, match in named.matches.items()}
    doubts = number_guess.doubts(dated)
    if beside := image_cubes.below(folder):
        doubts.append(
            f"{beside[0].name} beside the images is a cube, and is not used (--images names it itself)"
        )
    scenes = _scenes(named, list(found.bands.values()), mask)
    lost = _lost(scenes, found.years)
    doubts += _incomplete(scenes, lost)
    return replace(
        found, years=_without(found.years, lost), unsure=[*named.unsure, *contents.unsure(found), *doubts]
    )


def _layout(named: Named) -> str:
    """How the files lie, in words."""
    names = named.images
    kind = "one file per band and date" if named.words else "one file per date"
    where = "in zips" if any(".zip/" in name.lower() for name in names) else "in folders below" if any(
        "/" in name for name in names
    ) else "in one folder"  # fmt: skip
    return f"{kind}, {where}: {counted(len(names), 'image file')}"


def _look_at_all(folder: Path, named: Named, product: Product | None) -> dict[str, Looked]:
    """What each image says of itself, by its name."""
    with progress("looking at images", len(named.images), "files") as advance:
        found = {}
        for name in named.images:
            found[name] = _look_at(folder, name, product.scale if product else None)
            advance()
    return found


def _look_at(folder: Path, name: str, known: Scale | None) -> Looked:
    path = str(tree.path_of(folder, name))
    if (folder / name).is_file() and (folder / name).stat().st_size == 0:
        raise InputError(f"--images: {folder / name} is an empty file: fetch it again, or remove it.")
    with raster.opened(path) as file:
        if file.crs is None:
            raise InputError(f"{folder / name} has no CRS: assign one, for example with gdal_edit.")
        pixel = math.sqrt(grid.pixel_m2(raster.grid_of(file), abs(file.transform.a)))
        bands = band_names.of_file(file)
        indexes = list(mask_guess.apart(bands.numbers)[0].values())
        numbers = number_guess.of_file(file, str(folder / name), indexes, known)
        outline = shapely.box(*transform_bounds(file.crs, 4326, *file.bounds))
        crs = contents.crs_name(file.crs.to_wkt())
        return Looked(name, bands, file.count, numbers, pixel, crs, outline)


def _of_words(
    named: Named, files: dict[str, Looked], product: Product | None, folder: Path
) -> tuple[dict[str, int | str], str]:
    """Bands that are words in files' names. InputError where a file of a band has several."""
    if many := next((file for file in files.values() if file.count > 1), None):
        raise InputError(f"{folder / many.name} is named after one band and has {many.count}: rename it.")
    if product and product.bands:
        found = {common: word for common, word in product.bands.items() if word in named.words}
        if found:
            return dict(found), f"{product.name}, by their common names"
    return {word: word for word in band_names.in_order(named.words)}, "the word in each file's name"


def _check_like(files: dict[str, Looked], folder: Path) -> None:
    """InputError where images of a folder do not have the same bands."""
    first, *others = files.values()
    for other in others:
        if first.bands.numbers != other.bands.numbers:
            raise InputError(
                f"--images: {folder / first.name} and {other.name} have other bands ({_few(first)}; "
                f"{_few(other)}): leave only the files of one kind in the folder."
            )


def _few(file: Looked) -> str:
    return few(list(file.bands.numbers), 6)


def _check_apart(files: dict[str, Looked], named: Named, folder: Path) -> None:
    """InputError where files of one date are not parts of one image, side by side."""
    by_date: dict[str, list[Looked]] = defaultdict(list)
    for name, match in named.matches.items():
        by_date[match["date"]].append(files[name])
    for same in by_date.values():
        for one, other in combinations(same, 2):
            if image_places.cover_each_other(one.outline, other.outline):
                raise InputError(
                    f"--images: several files of one date cover the same ground: {folder / one.name} and "
                    f"{other.name}. Bands of one image must be named by words such as B04 or red; else leave "
                    "one file per date and place."
                )


def _unused(named: Named, mask: Mask | None, in_file: Mapping[str, int]) -> list[str]:
    """Masks beside the images, and those in them, that are not the one that is used."""
    words = {name: match["band"] for name in named.mask_files if (match := re.fullmatch(named.pattern, name))}
    every = {**words, **in_file}
    return [name for name, word in every.items() if mask is None or word != mask.word]


@dataclass(frozen=True)
class Lacking:
    """A scene's date, and the words of which it has no file."""

    date: str
    words: tuple[str, ...]


def _scenes(named: Named, bands: Collection[int | str], mask: Mask | None) -> list[Lacking]:
    """Every scene with what it lacks of the bands' files and the mask's."""
    pattern = re.compile(named.pattern)
    if "band" not in pattern.groupindex:
        return []
    needed = {word for word in (*bands, mask.word if mask else "") if isinstance(word, str) and word}
    scenes: dict[tuple[str, ...], set[str]] = defaultdict(set)
    dates: dict[tuple[str, ...], str] = {}
    for name in (*named.images, *named.mask_files):
        if match := pattern.fullmatch(name):
            scene = tuple(text or "" for group, text in match.groupdict().items() if group != "band")
            scenes[scene].add(match["band"] or "")
            dates[scene] = match["date"]
    return [Lacking(dates[scene], tuple(sorted(needed - words))) for scene, words in scenes.items()]


def _incomplete(scenes: Sequence[Lacking], lost: Mapping[str, set[str]]) -> list[str]:
    """Return a sentence on the scenes that lack a file, if any do, and on the years that are lost by it."""
    lacking = [scene for scene in scenes if scene.words]
    if not lacking:
        return []
    first = lacking[0]
    more = f" and {counted(len(lacking) - 1, 'other')}" if len(lacking) > 1 else ""
    told = (
        f"{len(lacking)} of {counted(len(scenes), 'scene')} will not be used: that of {first.date} has no "
        f"{' and no '.join(first.words)}{more}"
    )
    years = [f"{label} will have no image (no {' or '.join(sorted(words))})" for label, words in lost.items()]
    return ["; ".join([told, *years])]


def _lost(scenes: Sequence[Lacking], years: Years) -> dict[str, set[str]]:
    """The years in which every scene lacks a file, and of what."""
    by_year: dict[str, list[Lacking]] = defaultdict(list)
    for scene in scenes:
        by_year[years.label_of(dated_files.day(scene.date, ""))].append(scene)
    return {
        label: {word for scene in own for word in scene.words}
        for label, own in sorted(by_year.items())
        if label in years.labels and all(scene.words for scene in own)
    }


def _without(years: Years, lost: Mapping[str, set[str]]) -> Years:
    """The years, with those that are lost said."""
    if not lost:
        return years
    told = "; ".join(
        f"{label} without an image, for want of {' and '.join(sorted(w))}" for label, w in lost.items()
    )
    return replace(years, about=f"{years.about}; {told}")


def _offset(
    folder: Path, named: Named, product: Product | None, bands: Sequence[str], masks: Sequence[str],
    days: Sequence[date], scale: Scale | None,
) -> str:  # fmt: skip
    """Why the offset of Sentinel-2's baseline 04.00 is to be asked for; empty where it is not."""
    if (scale and scale.offset) or not products.are_sentinel2(product, bands, masks):
        return ""
    if any(
        product_baselines.words(folder, [name]).sure
        for name in named.images[:: max(1, len(named.images) // 20)]
    ):
        return "the products' baseline tells whether Sentinel-2's offset of 1000 is in the numbers"
    if max(days) < contents.LIFTED_SINCE:
        return ""
    return (
        "since January 2022 Sentinel-2's numbers may have an offset of 1000, and these files do not say so: "
        "pixels are asked, and fetch says what they leave undecided"
    )


def _widest(files: dict[str, Looked]) -> str:
    types = {file.numbers.dtype for file in files.values()}
    return "uint16" if "uint16" in types else next(iter(types))
