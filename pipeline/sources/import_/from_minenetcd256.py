"""MineNetCD256 (Yu et al. 2024) as published: pairs of 256 x 256 tiles in RGB and a change label.

Two forms are read. Folders, as change-detection repositories keep them:

    train|val|test / A|imageA, B|imageB, label / <name>.png

and the Hugging Face form that UCD loads: Parquet files named after their split, with columns imageA,
imageB and label of picture bytes. Tiles have no place, and their dates are known by range only: before
(2009 to 2018) and after (2018 to 2023).
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.core.errors import InputError
from pipeline.sources.import_ import tile_stacks
from pipeline.sources.import_.layouts import Dated, Facts, Found, Pair

SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
COLUMNS = {"A": ("imageA", "A"), "B": ("imageB", "B"), "label": ("label", "labels")}
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
SPANS = {
    "before": (date(2009, 1, 1), date(2018, 12, 31)),
    "after": (date(2018, 1, 1), date(2023, 12, 31)),
}
CITATION = (
    "Yu, W., Zhang, X., Gloaguen, R., Zhu, X. X., Ghamisi, P. (2024): MineNetCD: A Benchmark for Global "
    "Mining Change Detection on Remote Sensing Imagery. IEEE Transactions on Geoscience and Remote Sensing."
)
PARTS = {"A": "RGB", "B": "RGB", "label": "L"}


class MineNetCD256:
    """See `pipeline.sources.import_.layouts.Layout`."""

    version = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed = _parquet(folder) or _folders(folder)
        if not self.listed:
            raise InputError(
                f"{folder} holds neither train/A, train/B, train/label nor Parquet files named after a split."
            )
        self.is_parquet = bool(_parquet(folder))
        self.side = self._side()
        self.found = self._stacks()

    def facts(self) -> Facts:
        return Facts(
            title="MineNetCD256, as published",
            sensor={"bands": ["R", "G", "B"], "rgb": ["R", "G", "B"], "resolution": 1.2, "dtype": "uint8"},
            periods={"spans": {name: [str(day) for day in span] for name, span in SPANS.items()}},
            tiling={"size": self.side, "edge": "drop", "pad": False},
            labels={
                "source": "import",
                "kind": "change",
                "meaning": "Change of mining areas between two images.",
            },
            pairs="first_last",
            citation=CITATION,
        )

    def sites(self) -> list[Found]:
        return self.found

    def _stacks(self) -> list[Found]:
        images = {name: Dated(name, *span, dated_by="published range") for name, span in SPANS.items()}
        found = []
        for split, names in sorted(self.listed.items()):
            for number, tiles in enumerate(tile_stacks.chunked(names)):
                shape = (len(tiles) * self.side, self.side)
                found.append(Found(f"{split}-{number:04d}", shape, images, split, tiles=tiles))
        return found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        return tile_stacks.stacked(self._read(site, "A" if label == "before" else "B"), site.tiles, self.side)

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        return None

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        labels = map(tile_stacks.binary, self._read(site, "label"))
        return {("before", "after"): tile_stacks.stacked(labels, site.tiles, self.side)}

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        return None

    def files(self, site: Found) -> list[Path]:
        if self.is_parquet:
            return [self.folder / name for name in sorted({name.rsplit("#", 1)[0] for name in site.tiles})]
        return [
            path
            for name in site.tiles
            for path in (self.folder / name, _like(self.folder, name, "B"), _like(self.folder, name, "label"))
        ]

    def _side(self) -> int:
        """Side of the tiles: that of the first."""
        name = next(iter(self.listed.values()))[0]
        first = Found("", (0, 0), {}, next(iter(self.listed)), tiles=(name,))
        return int(next(self._read(first, "A")).shape[-1])

    def _read(self, site: Found, part: str) -> Iterator[NDArray[np.uint8]]:
        """The site's tiles of A, B (3, y, x) or label (y, x)."""
        return (_rows if self.is_parquet else _files)(self.folder, site.tiles, part)


def _folders(folder: Path) -> dict[str, list[str]]:
    """Names of the A images by split, relative to the folder. InputError where one lacks its like."""
    found: dict[str, list[str]] = {}
    for name, split in SPLITS.items():
        first = next((folder / name / a for a in COLUMNS["A"] if (folder / name / a).is_dir()), None)
        if first is None:
            continue
        files = sorted(path for path in first.iterdir() if path.suffix.lower() in SUFFIXES)
        found[split] = [path.relative_to(folder).as_posix() for path in files]
        for path in found[split]:
            for part in ("B", "label"):
                _like(folder, path, part)
    return {split: names for split, names in found.items() if names}


def _like(folder: Path, name: str, part: str) -> Path:
    """The file of B or of the label that goes with a file of A, whatever its suffix."""
    path = folder / name
    for other in COLUMNS[part]:
        for suffix in (path.suffix, ".png", ".jpg", ".tif"):
            candidate = path.parents[1] / other / (path.stem + suffix)
            if candidate.is_file():
                return candidate
    raise InputError(f"{path} has no counterpart in {' or '.join(COLUMNS[part])}.")


def _files(folder: Path, names: tuple[str, ...], part: str) -> Iterator[NDArray[np.uint8]]:
    for name in names:
        path = folder / name if part == "A" else _like(folder, name, part)
        yield tile_stacks.picture(path, str(path), PARTS[part])


def _parquet(folder: Path) -> dict[str, list[str]]:
    """Rows by split, each named `file#row`."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        word = re.split(r"[-_.]", path.stem)[0]
        split = SPLITS.get(word) or SPLITS.get(path.parent.name)
        if split is None:
            continue
        file = _opened(path)
        if missing := {"imageA", "imageB", "label"} - set(file.schema_arrow.names):
            raise InputError(f"{path} has no column {sorted(missing)[0]}.")
        relative = path.relative_to(folder).as_posix()
        found.setdefault(split, []).extend(f"{relative}#{row}" for row in range(file.metadata.num_rows))
    return found


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return InputError(f"{path} cannot be read as Parquet: {said}.")


def _rows(folder: Path, names: tuple[str, ...], part: str) -> Iterator[NDArray[np.uint8]]:
    """Pictures of rows, in the names' order; a row group is read once for its neighbours."""
    column = COLUMNS[part][0]
    held: tuple[str, int, int, list[Any]] = ("", 0, 0, [])
    for name in names:
        file, row = name.rsplit("#", 1)[0], int(name.rsplit("#", 1)[1])
        if held[0] != file or not held[1] <= row < held[2]:
            held = (file, *_group(folder / file, row, column))
        content = (held[3][row - held[1]] or {}).get("bytes") or b""
        yield tile_stacks.picture(content, f"{file} row {row} {column}", PARTS[part])


def _group(path: Path, row: int, column: str) -> tuple[int, int, list[Any]]:
    """The row group that holds a row: its first row, the one after its last, and its content."""
    file, start = _opened(path), 0
    for number in range(file.num_row_groups):
        end = start + file.metadata.row_group(number).num_rows
        if row < end:
            try:
                return start, end, file.read_row_group(number, columns=[column])[column].to_pylist()
            except (OSError, ValueError, pa.ArrowException) as error:
                raise _unreadable(path, error) from None
        start = end
    raise InputError(f"There is no row {row}.")
