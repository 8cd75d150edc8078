"""Pairs of tiles and their labels, as change-detection repositories keep them: in folders or in Parquet.

    A/ B/ label/ <name>.png  list/train.txt, val.txt, test.txt     one folder, with lists of names
    train|val|test / A, B, label / <name>.png                      a folder for each split
    A/train, B/train, label/train                                  the same the other way round
    data/train-00000.parquet with imageA, imageB, label            the Hugging Face form

The folders go by any of the names in NAMES, in upper or lower case.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from minebench.errors import InputError
from minebench.text import counted, few

SPLITS = {
    "train": "train", "training": "train", "val": "val", "validation": "val", "valid": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
NAMES = (
    ("a", "b"), ("imagea", "imageb"), ("t1", "t2"), ("im1", "im2"), ("time1", "time2"), ("image1", "image2"),
    ("img1", "img2"), ("pre", "post"), ("before", "after"),
)  # fmt: skip
"""Folders of the earlier and of the later pictures."""
LABELS = ("label", "labels", "out", "gt", "mask", "masks", "cm", "change")
SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
COLUMNS = {"A": "imageA", "B": "imageB", "label": "label"}
Content = bytes | Path


@dataclass(frozen=True)
class Group:
    """Three folders whose pictures of one name belong together, and the split that they are of."""

    a: Path
    b: Path
    label: Path
    split: str = ""


@dataclass
class PairFiles:
    """The tiles of each split, by the name of their earlier picture relative to `folder`, or `file#row` of a
    Parquet file; `left_out` says what was not taken, and `notes` what was taken for granted."""

    folder: Path
    listed: dict[str, list[str]]
    is_parquet: bool = False
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    like: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    """The later picture and the label that go with an earlier one."""

    def files(self, names: tuple[str, ...]) -> list[Path]:
        """The files of some tiles."""
        if self.is_parquet:
            return [self.folder / name for name in sorted({name.rsplit("#", 1)[0] for name in names})]
        return [path for name in names for path in (self.folder / name, *self.like[name])]

    def contents(self, names: tuple[str, ...], part: str) -> Iterator[tuple[Content, str]]:
        """Each tile's picture of A, B or label, and what it is called."""
        if self.is_parquet:
            yield from _rows(self.folder, names, COLUMNS[part])
            return
        for name in names:
            path = self.folder / name if part == "A" else self.like[name][part == "label"]
            yield path, str(path)


def found(folder: Path) -> PairFiles:
    """The pairs of a folder. InputError where it has none, or a picture lacks its like."""
    if parquet := _parquet(folder):
        return PairFiles(folder, parquet, is_parquet=True)
    files = PairFiles(folder, {})
    for group in _groups(folder):
        names = _matched(files, group)
        if names and group.split:
            files.listed.setdefault(group.split, []).extend(names)
        elif names:
            _by_lists(files, names)
    files.listed = {split: names for split, names in files.listed.items() if names}
    if not files.listed:
        raise InputError(
            f"{folder} holds neither A, B and label (or train/A, train/B, train/label) nor Parquet files "
            "named after a split; folders may also be called "
            f"{', '.join(f'{a}, {b}' for a, b in NAMES[2:])}, and {', '.join(LABELS[1:])}."
        )
    if twice := [
        name for name, count in Counter(chain.from_iterable(files.listed.values())).items() if count > 1
    ]:
        files.notes.append(f"{counted(len(twice), 'tile')} in two splits, as published: {few(twice, 2)}")
    return files


def _groups(folder: Path) -> list[Group]:
    """The folders of pairs: of each split, or of all."""
    groups = []
    for name, path in _folders(folder).items():
        if name in SPLITS and (parts := _parts(path)):
            groups.append(Group(*parts, SPLITS[name]))
    if groups or not (parts := _parts(folder)):
        return groups
    inner = [_folders(part) for part in parts]
    for name in inner[0]:
        if name in SPLITS and all(name in part for part in inner):
            a, b, label = (part[name] for part in inner)
            groups.append(Group(a, b, label, SPLITS[name]))
    return groups or [Group(*parts)]


def _folders(folder: Path) -> dict[str, Path]:
    """The folders in one, by their names in small letters without separators."""
    return {
        re.sub(r"[-_ ]", "", path.name.lower()): path for path in sorted(folder.iterdir()) if path.is_dir()
    }


def _parts(folder: Path) -> tuple[Path, Path, Path] | None:
    """The folders of earlier and later pictures and of labels; None where one is missing."""
    inside = _folders(folder)
    pair = next(((inside[a], inside[b]) for a, b in NAMES if a in inside and b in inside), None)
    label = next((inside[name] for name in LABELS if name in inside), None)
    return (*pair, label) if pair and label else None


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _matched(files: PairFiles, group: Group) -> list[str]:
    """The names of a group's pairs. InputError where a picture lacks its like."""
    others = [_by_stem(folder) for folder in (group.b, group.label)]
    names = []
    for path in _pictures(group.a):
        name = path.relative_to(files.folder).as_posix()
        for folder, own in zip((group.b, group.label), others, strict=True):
            if path.stem not in own:
                raise InputError(f"{path} has no counterpart in {folder}.")
        later, label = ((own[path.stem].get(path.suffix) or own[path.stem][""]) for own in others)
        files.like[name] = later, label
        names.append(name)
    return names


def _by_stem(folder: Path) -> dict[str, dict[str, Path]]:
    """Pictures by their name without suffix and by their suffix; the first also by none."""
    found: dict[str, dict[str, Path]] = {}
    for path in _pictures(folder):
        found.setdefault(path.stem, {"": path})[path.suffix] = path
    return found


def _by_lists(files: PairFiles, names: list[str]) -> None:
    """Put tiles into the splits that lists of names give them; all are test where there is no list."""
    by_stem = {Path(name).stem: name for name in names}
    lists = _lists(files.folder)
    gone: list[str] = []
    for path in lists:
        split = SPLITS.get(path.stem.lower())
        if split is None:
            files.notes.append(f"{path.relative_to(files.folder)} is not read: its name is that of no split")
            continue
        words = [line.split()[0] for line in _lines(path) if line.strip()]
        stems = [re.sub(r"\.\w+$", "", word.replace("\\", "/").rpartition("/")[2]) for word in words]
        gone += [word for word, stem in zip(words, stems, strict=True) if stem not in by_stem]
        there = dict.fromkeys(by_stem[stem] for stem in stems if stem in by_stem)
        files.listed.setdefault(split, []).extend(there)
    if not files.listed:
        files.listed["test"] = names
        files.notes.append("no list of a split is there (list/train.txt, ...): all tiles are taken as test")
        return
    if gone:
        files.left_out.append(f"{counted(len(gone), 'listed name')} without files: {few(gone, 2)}")
    unlisted = sorted(set(names) - set(chain.from_iterable(files.listed.values())))
    if unlisted:
        files.left_out.append(f"{counted(len(unlisted), 'tile')} in no list: {few(unlisted, 2)}")


def _lists(folder: Path) -> list[Path]:
    """Files with names of tiles."""
    places = [path for name, path in _folders(folder).items() if name in {"list", "lists", "split", "splits"}]
    inside = [path for place in places for path in sorted(place.glob("*.txt"))]
    return inside or [path for path in sorted(folder.glob("*.txt")) if path.stem.lower() in SPLITS]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read as a list of names: {error}.") from None


def _parquet(folder: Path) -> dict[str, list[str]]:
    """Rows by split, each named `file#row`."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        word = re.split(r"[-_.]", path.stem)[0]
        split = SPLITS.get(word) or SPLITS.get(path.parent.name)
        if split is None:
            continue
        file = _opened(path)
        if missing := set(COLUMNS.values()) - set(file.schema_arrow.names):
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


def _rows(folder: Path, names: tuple[str, ...], column: str) -> Iterator[tuple[bytes, str]]:
    """Pictures of rows, in the names' order; a row group is read once for its neighbours."""
    held: tuple[str, int, int, list[Any]] = ("", 0, 0, [])
    for name in names:
        file, row = name.rsplit("#", 1)[0], int(name.rsplit("#", 1)[1])
        if held[0] != file or not held[1] <= row < held[2]:
            held = (file, *_group(folder / file, row, column))
        content = (held[3][row - held[1]] or {}).get("bytes") or b""
        yield content, f"{file} row {row} {column}"


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
