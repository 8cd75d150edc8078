"""OMS2CD (Dibble 2023) as published: Sentinel-2 scenes of facilities, and change masks of their pairs.

    s2_<facility>_<coordinates>_<YYYY-MM-DD>.tif    images; mapping.csv names them, with their folder
    area_mask/<facility>.tif                        the area that was looked at
    mask/<facility>_<id>.tif                        change of a pair
    mapping.csv                                     id, imageA, imageB, mask (<facility>.tif); it lists more
                                                    pairs than there are, and those without files are skipped
    train.csv, val.csv, test.csv                    facilities of each split, in the first column

A facility is a site, each of its images a period. Split by facility, as published: two facilities may
lie side by side. Tiles are the author's (`tile_mode="constant"`): the last of a row goes on beyond the edge.
"""

import csv
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench.errors import InputError
from minebench.text import few
from pipeline.published.formats import raster_files, tile_stacks
from pipeline.published.formats.layout import Dated, Facts, Found, Pair

BANDS = {
    3: ["B04", "B03", "B02"],
    4: ["B04", "B03", "B02", "B08"],
    12: ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"],
    13: ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"],
}
CITATION = (
    "Dibble, A. (2023): Characterising Open Cast Mining from Satellite Data. MSc thesis, University of "
    "Strathclyde (OMS2CD)."
)
MEANING = "Change of a mine's area between two images, drawn by hand."
COLUMNS = ("id", "imageA", "imageB", "mask")
DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?!.*\d{4}-\d{2}-\d{2})")


class OMS2CD:
    """See `pipeline.published.formats.layout.Layout`."""

    version = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows, self.left_out = _with_files(folder, list(_mapping(folder / "mapping.csv")))
        self.splits = _splits(folder)
        self.by_facility: dict[str, list[dict[str, str]]] = {}
        for row in self.rows:
            self.by_facility.setdefault(row["mask"].removesuffix(".tif"), []).append(row)
        days = {name: _days(rows) for name, rows in self.by_facility.items()}
        self.monthly = all(len({day[:7] for day in found}) == len(found) for found in days.values())
        self.found = [self._site(name, rows) for name, rows in sorted(self.by_facility.items())]

    def facts(self) -> Facts:
        with raster_files.opened(self.folder / self.rows[0]["imageA"]) as file:
            count, dtype = file.count, file.dtypes[0]
        if count not in BANDS:
            raise InputError(f"{self.rows[0]['imageA']} has {count} bands; 3, 4, 12 or 13 are known.")
        labels = sorted({label for site in self.found for label in site.images})
        return Facts(
            title="OMS2CD, as published",
            sensor={"bands": BANDS[count], "rgb": BANDS[3], "resolution": 10,
                    "dtype": "uint8" if dtype == "uint8" else "uint16"},
            periods={"unit": "month", "start": labels[0], "end": labels[-1]}
            if self.monthly
            else {"dates": labels},
            tiling={"size": 256, "stride": 100, "edge": "pad"},
            labels={"source": "import", "kind": "change", "meaning": MEANING},
            pairs="all",
            citation=CITATION,
            left_out=self.left_out,
        )  # fmt: skip

    def sites(self) -> list[Found]:
        return self.found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        with raster_files.opened(self.folder / site.images[label].file) as file:
            return file.read()

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        return raster_files.seen(self.folder / site.images[label].file)

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        return None

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        found: dict[Pair, NDArray[np.uint8]] = {}
        for row in self.by_facility[_facility(site, self.by_facility)]:
            first, second = sorted(_day(row[column]) for column in ("imageA", "imageB"))
            stem = row["mask"].removesuffix(".tif")
            mask = _mask(self.folder / "mask" / f"{stem}_{row['id']}.tif", site.shape)
            found[self._label(first), self._label(second)] = mask
        return dict(sorted(found.items()))

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        path = self.folder / "area_mask" / f"{_facility(site, self.by_facility)}.tif"
        return _mask(path, site.shape).astype(bool) if path.is_file() else None

    def files(self, site: Found) -> list[Path]:
        facility = _facility(site, self.by_facility)
        images = [self.folder / image.file for image in site.images.values()]
        masks = [self.folder / "mask" / f"{facility}_{row['id']}.tif" for row in self.by_facility[facility]]
        area = self.folder / "area_mask" / f"{facility}.tif"
        found = [self.folder / "mapping.csv", *images, *masks, *([area] if area.is_file() else [])]
        if missing := [path for path in found if not path.is_file()]:
            raise InputError(f"There is no file {missing[0]}, which mapping.csv asks for.")
        return found

    def _label(self, day: str) -> str:
        return day[:7] if self.monthly else day

    def _site(self, facility: str, rows: list[dict[str, str]]) -> Found:
        images: dict[str, Dated] = {}
        grid: GeoBox | None = None
        files = {_day(row[column]): row[column] for row in rows for column in ("imageA", "imageB")}
        for day, name in sorted(files.items()):
            with raster_files.opened(self.folder / name) as file:
                if file.crs is None:
                    raise InputError(f"{self.folder / name} does not say its CRS.")
                own = GeoBox(file.shape, file.transform, file.crs)
            if grid is not None and own.shape != grid.shape:
                raise InputError(
                    f"{self.folder / name} is {own.shape}, other images of its site {grid.shape}."
                )
            grid = grid or own
            when = date.fromisoformat(day)
            images[self._label(day)] = Dated(name, when, when)
        split = self.splits.get(facility)
        if split is None:
            raise InputError(f"{self.folder}: {facility} is in none of train.csv, val.csv, test.csv.")
        assert grid is not None
        return Found(_slug(facility), (grid.height, grid.width), images, split, grid)


def _mapping(path: Path) -> Iterator[dict[str, str]]:
    """Rows of mapping.csv. InputError names its line."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or []):
                raise InputError(f"{path} needs a column {sorted(missing)[0]}.")
            for line, row in enumerate(reader, 2):
                if any(not row[column] for column in COLUMNS):
                    raise InputError(f"{path} line {line} is shorter than its heading.")
                for name in _files(row):
                    if not (path.parent / name).resolve().is_relative_to(path.parent.resolve()):
                        raise InputError(f"{path} line {line}: {name} leads out of the folder.")
                yield row
    except FileNotFoundError:
        raise InputError(f"There is no {path}: give the folder that holds mapping.csv.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.") from None


def _files(row: dict[str, str]) -> list[str]:
    """The images and the mask of a row."""
    return [row["imageA"], row["imageB"], f"mask/{row['mask'].removesuffix('.tif')}_{row['id']}.tif"]


def _with_files(folder: Path, rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The rows whose files are there, and what to say of the others: the published table has more rows than
    pairs. InputError where none is."""
    missing = [[name for name in _files(row) if not (folder / name).is_file()] for row in rows]
    there = [row for row, names in zip(rows, missing, strict=True) if not names]
    if not there:
        raise InputError(
            f"{folder / 'mapping.csv'}: no row has all of its files"
            + (f"; there is no {next(filter(None, missing))[0]}." if rows else ", it has none.")
        )
    if len(there) == len(rows):
        return there, ()
    first = next(filter(None, missing))[0]
    gone = sorted({row["mask"] for row in rows} - {row["mask"] for row in there})
    said = [f"{len(rows) - len(there)} of {len(rows)} rows of mapping.csv: no file {first}, for one"]
    said += [f"{few(gone)}: no pair of it has its files"] * bool(gone)
    return there, tuple(said)


def _splits(folder: Path) -> dict[str, str]:
    """Split of each facility, by the first column of the three files; their first line is a heading."""
    found: dict[str, str] = {}
    for name in ("train", "val", "test"):
        path = folder / f"{name}.csv"
        if path.is_file():
            try:
                lines = path.read_text(encoding="utf-8").splitlines()[1:]
            except UnicodeDecodeError as error:
                raise InputError(f"{path} cannot be read as CSV: {error}.") from None
            found |= {line.split(",")[0].strip().removesuffix(".tif"): name for line in lines if line.strip()}
    return found


def _days(rows: list[dict[str, str]]) -> set[str]:
    return {_day(row[column]) for row in rows for column in ("imageA", "imageB")}


def _day(name: str) -> str:
    match = DAY.search(Path(name).stem)
    if match is None:
        raise InputError(f"{name} has no date (YYYY-MM-DD) in its name.")
    return match[1]


def _mask(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    with raster_files.opened(path) as file:
        mask = file.read(1)
    if mask.shape != shape:
        raise InputError(f"{path} is {mask.shape}, its images {shape}.")
    return tile_stacks.binary(mask)


def _slug(facility: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", facility).strip("-.").lower()


def _facility(site: Found, known: dict[str, Any]) -> str:
    return next(name for name in known if _slug(name) == site.name)
