"""SmallMinesDS (Ofori-Ampofo et al. 2025) as published: footprints of small mines in two years.

    <year>/IMAGE/IMG_GH_0001_<year>.tif    13 bands, float32: Sentinel-2, then Sentinel-1 VV and VH, and a DEM
    <year>/MASK/MASK_GH_0001_<year>.tif    1 for a mine; 255 is unknown
    train_test_splits_<year>.csv           patch_name (MASK_0001_<year>.tif), split; also in data_splits/

The ten bands of Sentinel-2 are taken, as whole numbers; radar and DEM are left out. The split of the two
years was drawn apart: a tile of which either year is test is a test tile, so that no model learns from what
its authors test on. Tiles have no place here.
"""

import csv
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minebench.errors import InputError
from minebench.masks import UNKNOWN
from minebench.text import counted, few
from pipeline.published.formats import raster_files, tile_stacks
from pipeline.published.formats.euromine import BANDS
from pipeline.published.formats.folders import UNKNOWN_DATE
from pipeline.published.formats.known_sets import SETS
from pipeline.published.formats.layout import Dated, Facts, Found, Pair

NAME = re.compile(r"(?:IMG|MASK)_(?:[A-Z]+_)?(\d{4})_(\d{4})")
PLACES = (".", "SmallMinesDS", "SmallMinesDS/SmallMinesDS")
"""Folders that may hold those of the years."""
SPLITS = ("train", "val", "test")
"""Whoever is in several is in the last of them."""
PIXEL_M = 10.0
REFLECTANCE = 2
"""Numbers up to this would be of reflectance, not of reflectance x 10000."""
MEANING = "Artisanal and small-scale gold mines."


class SmallMines:
    """See `pipeline.published.formats.pairs_layout.PairsLayout`."""

    version = 1

    def __init__(self, folder: Path, dates: str = UNKNOWN_DATE, threshold: int = 0) -> None:
        if dates not in {UNKNOWN_DATE, SETS["smallminesds"].dates}:
            raise InputError("--dates: the names of SmallMinesDS's files say the years; leave it out.")
        self.folder = folder
        years = _years(folder)
        self.paths = {
            year: (_by_number(place / "IMAGE"), _by_number(place / "MASK")) for year, place in years
        }
        whole = set.intersection(*(set(files) for both in self.paths.values() for files in both))
        every = set.union(*(set(files) for both in self.paths.values() for files in both))
        self.splits, told = _splits(folder, list(self.paths))
        self.notes = (told,)
        lost = sorted(every - whole)
        self.left_out = [f"{counted(len(lost), 'tile')} without all files: {few(lost)}"] if lost else []
        if not whole:
            raise InputError(f"{folder}: no tile of SmallMinesDS has an image and a mask in every year.")
        self.side = _read(self.paths[next(iter(self.paths))][1][min(whole)]).shape[-1]
        self.found = self._stacks(sorted(whole))

    def facts(self) -> Facts:
        return Facts(
            title="",
            sensor={"bands": BANDS, "rgb": ["B04", "B03", "B02"], "dtype": "uint16"},
            periods={"dates": [_label(year) for year in self.paths]},
            tiling={"size": self.side, "edge": "drop", "pad": False},
            labels={"source": "import", "kind": "footprint", "meaning": MEANING},
            pairs="all",
            citation="",
            left_out=(*self.left_out, "Sentinel-1 and the DEM of each image: its last three bands"),
            notes=self.notes,
        )

    def sites(self) -> list[Found]:
        return self.found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        files = self.paths[label[:4]][0]
        return tile_stacks.stacked((_picture(files[name]) for name in site.tiles), site.tiles, self.side)

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        return None

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        files = self.paths[label[:4]][1]
        return tile_stacks.stacked((_footprint(files[name]) for name in site.tiles), site.tiles, self.side)

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        return {}

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        return None

    def files(self, site: Found) -> list[Path]:
        return [files[name] for both in self.paths.values() for files in both for name in site.tiles]

    def resolution(self) -> float | None:
        return PIXEL_M

    def threshold_of_masks(self) -> int:
        return 0

    def _stacks(self, names: list[str]) -> list[Found]:
        images = {
            _label(year): Dated(
                f"IMG_{year}", date(int(year), 1, 1), date(int(year), 1, 31), "published range"
            )
            for year in self.paths
        }
        found = []
        for split in sorted({self.splits.get(name, "") for name in names}):
            own = [name for name in names if self.splits.get(name, "") == split]
            for number, tiles in enumerate(tile_stacks.chunked(own)):
                shape = (len(tiles) * self.side, self.side)
                found.append(Found(f"{split or 'tiles'}-{number:04d}", shape, images, split, tiles=tiles))
        return found


def is_here(folder: Path) -> bool:
    """Whether a folder is SmallMinesDS as published."""
    return bool(_years(folder))


def _years(folder: Path) -> list[tuple[str, Path]]:
    """The folders of the years, oldest first; empty where there are not two of them."""
    for place in PLACES:
        found = [path.parent for path in sorted((folder / place).glob("[12][0-9][0-9][0-9]/IMAGE"))]
        if len(found) > 1 and all((path / "MASK").is_dir() for path in found):
            return [(path.name, path) for path in found]
    return []


def _label(year: str) -> str:
    """The period of a year: all images were taken in January, says the set's page."""
    return f"{year}-01"


def _by_number(folder: Path) -> dict[str, Path]:
    found = {match[1]: path for path in folder.glob("*.tif") if (match := NAME.fullmatch(path.stem))}
    return dict(sorted(found.items()))


def _splits(folder: Path, years: list[str]) -> tuple[dict[str, str], str]:
    """Split of each tile, and what was taken for granted of it."""
    by_year: list[dict[str, str]] = []
    for year in years:
        name = f"train_test_splits_{year}.csv"
        places = [base / sub / name for base in (folder, folder.parent) for sub in ("data_splits", ".")]
        path = next((path for path in places if path.is_file()), None)
        if path is None:
            return {}, f"there is no {name}: splits are drawn by stack of tiles"
        by_year.append(_split_file(path))
    names = sorted(set.intersection(*(set(own) for own in by_year)))
    found = {name: max((own[name] for own in by_year), key=SPLITS.index) for name in names}
    apart = sum(len({own[name] for own in by_year}) > 1 for name in names)
    return found, (
        f"the authors drew each year's split apart: of {counted(len(names), 'tile')} {apart} are in two, and "
        "are in test where either year is"
    )


def _split_file(path: Path) -> dict[str, str]:
    """Split of each tile in a year's list. InputError names the line that cannot be read."""
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                match = NAME.match(row.get("patch_name") or "")
                if match is None or row.get("split") not in SPLITS:
                    raise InputError(
                        f"{path} line {line}: needs a patch_name (MASK_0001_2016.tif) and a split."
                    )
                found[match[1]] = row["split"]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.") from None
    return found


def _read(path: Path) -> NDArray[Any]:
    with raster_files.opened(path) as file:
        return file.read()


def _picture(path: Path) -> NDArray[np.uint16]:
    """The bands of Sentinel-2 (band, y, x) as whole numbers; no data (-9999) is 0. InputError for fewer
    bands, or numbers that are not of reflectance x 10000."""
    pixels = _read(path)
    if len(pixels) < len(BANDS):
        raise InputError(f"{path} has {len(pixels)} bands; SmallMinesDS has 13.")
    own = np.nan_to_num(pixels[: len(BANDS)])
    if 0 < own.max() <= REFLECTANCE:
        raise InputError(f"{path} has numbers up to {own.max():g}, and not reflectance x 10000.")
    return np.clip(np.rint(own), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _footprint(path: Path) -> NDArray[np.uint8]:
    mask = _read(path)[0]
    return np.where(mask == UNKNOWN, UNKNOWN, mask > 0).astype(np.uint8)
