"""A site's yearly images and footprints, as EuroMineNet (Yu et al. 2025) publishes them.

    <site>/image(s)/Year2015.tif  <site>/label(s)/Year2015.tif    whole scenes
    <site>/2015.tif               <site>/2015_mask.tif            the same, all in one folder
    <site>/2015/image/Year2015_Patch0.npy  .../label/Patch0.png   tiles cut by the authors' own script
    splits: train_val_test_splits.py, or splits.csv (name, split), in the folder, in its datasets/, or one
    above; without either the official split, by the folders' names

Labels are any number for mine and 0 for the rest. Scenes keep their grid; tiles have no place.
"""

import ast
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench import tables
from minebench.errors import InputError
from minebench.masks import UNKNOWN
from minebench.text import counted
from pipeline.published.formats import raster_files, tile_stacks
from pipeline.published.formats.euromine_split import SPLITS
from pipeline.published.formats.layout import Dated, Facts, Found, Pair

BANDS = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
IMAGES, LABELS = ("image", "images", "."), ("label", "labels", "mask", "masks", ".")
MOST_OFF = 4
"""Pixels by which a year may be larger or smaller than the first: cut, or filled with nodata."""
CITATION = (
    "Yu, W., Nwazelibe, V., Ma, X., Zhang, X., Gloaguen, R., Zhu, X. X., Ghamisi, P. (2026): EuroMineNet: A "
    "multitemporal Sentinel-2 benchmark for spatiotemporal mining footprint analysis in the European Union "
    "(2015-2024). ISPRS Journal of Photogrammetry and Remote Sensing 237, 409-425."
)


@dataclass(frozen=True)
class Year:
    """A year's files: one image and label, or as many as there are tiles (by number)."""

    images: tuple[Path, ...]
    labels: tuple[Path, ...]


class EuroMine:
    """See `pipeline.published.formats.layout.Layout`."""

    version = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        self.years: dict[str, dict[str, Year]] = {}
        self.found: list[Found] = []
        self.splits, self.split_from = _splits(folder)
        for path in sorted(path for path in folder.iterdir() if path.is_dir()):
            if years := _years(path):
                self._add(path, years)

    def facts(self) -> Facts:
        if not self.found:
            raise InputError(
                f"{self.folder} holds no folder of a site with images of years and their labels."
            )
        labels = sorted({label for site in self.found for label in site.images})
        bands, dtype = self._bands()
        tiled = any(site.tiles for site in self.found)
        size = self.found[0].shape[1] if tiled else 160
        return Facts(
            title="EuroMineNet, as published",
            sensor={"bands": bands, "rgb": ["B04", "B03", "B02"] if len(bands) == 10 else bands[:3],
                    "resolution": 10, "dtype": dtype},
            periods={"dates": labels},
            tiling={"size": size, "edge": "drop" if tiled else "shift", "pad": not tiled},
            labels={"source": "import", "kind": "footprint"},
            pairs="all",
            citation=CITATION,
            left_out=tuple(self.left_out),
            notes=(self.split_from + self._lacking(),),
        )  # fmt: skip

    def _lacking(self) -> str:
        """How many of the split's sites are not there."""
        count = len(set(self.splits)) - sum(bool(site.split) for site in self.found)
        return (
            f"; {counted(count, 'site')} of theirs {'is' if count == 1 else 'are'} not" if count > 0 else ""
        )

    def sites(self) -> list[Found]:
        return self.found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        files = self.years[site.name][label].images
        _, dtype = self._bands()
        if site.tiles:
            pixels = np.concatenate([_array(path) for path in files], axis=-2)
        else:
            pixels = _fitted(_raster(files[0]), site.shape, 0)
        return np.clip(np.nan_to_num(np.rint(pixels)), 0, np.iinfo(dtype).max).astype(dtype)

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        (path, *_) = self.years[site.name][label].images
        if site.tiles:
            return None
        seen = raster_files.seen(path)
        if seen is None:
            seen = np.ones(_raster(path).shape[-2:], bool)
        return _fitted(seen, site.shape, 0)

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        files = self.years[site.name][label].labels
        if not files:
            return None
        if site.tiles:
            return tile_stacks.binary(np.concatenate([_array(path) for path in files], axis=-2))
        mask = _raster(files[0])[0]
        return _fitted(tile_stacks.binary(mask), site.shape, UNKNOWN)

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        return {}

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        return None

    def files(self, site: Found) -> list[Path]:
        return [path for year in self.years[site.name].values() for path in (*year.images, *year.labels)]

    def _bands(self) -> tuple[list[str], str]:
        site = self.found[0]
        first = next(iter(self.years[site.name].values())).images[0]
        pixels = _array(first) if site.tiles else _raster(first)
        bands = BANDS if len(pixels) == len(BANDS) else [f"band{i}" for i in range(1, len(pixels) + 1)]
        return bands, "uint8" if pixels.dtype == np.uint8 else "uint16"

    def _add(self, path: Path, years: dict[str, Year]) -> None:
        """Take a site in, or say why not."""
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", path.name).strip("-.").lower()
        split = self.splits.get(path.name) or self.splits.get(_spelt(path.name))
        if self.splits and split is None:
            self.left_out.append(f"{path.name}: in no split")
            return
        first = next(iter(years.values()))
        tiled = first.images[0].suffix == ".npy"
        try:
            shape, grid, tiles = _tiles(years) if tiled else _scene(first.images[0], years)
        except InputError:
            raise
        except ValueError as error:
            self.left_out.append(f"{path.name}: {error}")
            return
        images = {
            label: Dated(year.images[0].relative_to(self.folder).as_posix(), date(int(label), 1, 1),
                         date(int(label), 12, 31), "file name (year)")
            for label, year in years.items()
        }  # fmt: skip
        self.years[name] = years
        country = re.sub(r"[_-]?\d+$", "", path.name).replace("_", " ")
        self.found.append(Found(name, shape, images, split or "", grid, country, tiles))


def _years(folder: Path) -> dict[str, Year]:
    """A site's years, oldest first; empty where the folder is no site."""
    tiles = {p.name: p for p in folder.iterdir() if p.is_dir() and re.fullmatch(r"(19|20)\d\d", p.name)}
    if tiles:
        found = {name: Year(_cut(p / "image"), _cut(p / "label")) for name, p in sorted(tiles.items())}
        return {name: year for name, year in found.items() if year.images}
    images, labels = _by_year(folder, IMAGES, is_label=False), _by_year(folder, LABELS, is_label=True)
    return {
        year: Year((path,), (labels[year],) if year in labels else ())
        for year, path in sorted(images.items())
    }


def _by_year(folder: Path, names: tuple[str, ...], is_label: bool) -> dict[str, Path]:
    """GeoTIFFs with a year in their name, from the first folder there is."""
    for name in names:
        files = sorted((folder / name).glob("*.tif*")) if (folder / name).is_dir() else []
        if name == ".":
            files = [path for path in files if bool(re.search(r"mask|label", path.stem, re.I)) == is_label]
        found = {match[0]: path for path in files if (match := re.search(r"(19|20)\d\d", path.stem))}
        if found:
            return found
    return {}


def _cut(folder: Path) -> tuple[Path, ...]:
    """Tiles in the order of their numbers."""
    files = [path for path in folder.glob("*") if path.suffix in {".npy", ".png"}]
    return tuple(sorted(files, key=lambda path: int((re.findall(r"\d+", path.stem) or ["0"])[-1])))


def _tiles(years: dict[str, Year]) -> tuple[tuple[int, int], None, tuple[str, ...]]:
    """Shape of the stack and names of its tiles. ValueError where the years differ."""
    counts = {len(year.images) for year in years.values()} | {len(year.labels) for year in years.values()}
    if len(counts) > 1:
        raise ValueError("its years do not have equally many tiles")
    first = next(iter(years.values())).images
    height, width = _array(first[0]).shape[-2:]
    return (len(first) * height, width), None, tuple(path.stem for path in first)


def _scene(first: Path, years: dict[str, Year]) -> tuple[tuple[int, int], GeoBox, tuple[str, ...]]:
    """Shape and grid of the first year. ValueError where another is too different, or has no label."""
    with raster_files.opened(first) as file:
        if file.crs is None:
            raise ValueError(f"{first.name} does not say its CRS")
        grid = GeoBox(file.shape, file.transform, file.crs)
    for year in years.values():
        for path in (*year.images, *year.labels):
            with raster_files.opened(path) as file:
                off = max(abs(a - b) for a, b in zip(file.shape, grid.shape, strict=True))
            if off > MOST_OFF:
                raise ValueError(f"{path.name} is {file.shape}, {first.name} {tuple(grid.shape)}")
    return (grid.height, grid.width), grid, ()


def _fitted(pixels: NDArray[Any], shape: tuple[int, int], fill: int) -> NDArray[Any]:
    """Cut or filled at the lower right to a shape; authors' labels differ from images by a pixel."""
    cut = pixels[..., : shape[0], : shape[1]]
    missing = [(0, 0)] * (cut.ndim - 2) + [(0, shape[k] - cut.shape[k - 2]) for k in (0, 1)]
    return np.pad(cut, missing, constant_values=fill)


def _raster(path: Path) -> NDArray[Any]:
    with raster_files.opened(path) as file:
        return file.read()


def _array(path: Path) -> NDArray[Any]:
    if path.suffix == ".png":
        return tile_stacks.picture(path, str(path), "L")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None


def _splits(folder: Path) -> tuple[dict[str, str], str]:
    """Split by site's folder name, from the authors' file or a CSV, else the official one; and where it is
    from. Empty where sites of the official three splits are not all there: a split is then drawn."""
    for place in (folder, folder / "datasets", folder.parent, folder.parent / "datasets"):
        if (path := place / "train_val_test_splits.py").is_file():
            try:
                listed = ast.literal_eval(path.read_text().split("=", 1)[1].strip())
                splits = {str(name): split for split, names in listed.items() for name in names}
            except (ValueError, SyntaxError, IndexError, AttributeError):
                raise InputError(f"{path} does not hold one dictionary of splits.") from None
            return splits, f"splits are those of {path.name}"
        if (path := place / "splits.csv").is_file():
            table = tables.read_csv(path, "source.path")
            if missing := {"name", "split"} - set(table):
                raise InputError(f"{path} needs a column {sorted(missing)[0]}.")
            return dict(zip(table.name, table.split, strict=True)), f"splits are those of {path.name}"
    official = {
        _spelt(path.name): SPLITS.get(_spelt(path.name)) for path in folder.iterdir() if path.is_dir()
    }
    if set(official.values()) >= set(SPLITS.values()):
        return SPLITS, "splits are EuroMineNet's official ones, by the names of the sites' folders"
    return {}, "no splits.csv and no train_val_test_splits.py is there: splits are drawn by site"


def _spelt(name: str) -> str:
    """A site's name as the official split has it."""
    return name.replace("Portugal", "Portuga")
