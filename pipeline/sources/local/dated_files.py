"""Which files of a folder make which scene: by their names, or by a list."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath

import pandas as pd

from minebench import tables
from minebench.errors import InputError
from pipeline.sources.local import tree

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y")
DAY_OF_YEAR = re.compile(r"\d{7}")
"""A year with the day of the year, as in HLS, which strptime would also read as a month and a day."""
BAND = "band"
"""The group of a pattern that finds which band a file is."""
MASK = re.compile(
    r"(?<![a-z])(?:(?:(?:cloud|cld|snow|shadow|water|valid|data|no[-_]?data|f)[-_]?)?masks?|fmask\d*|scl|udm2?|"
    r"qa[-_]?(?:pixel|radsat)|qa\d+|qa(?=\.tiff?$)|cldprb)(?![a-z])",
    re.IGNORECASE,
)
"""What the name of a file says that is a mask, and no image."""


@dataclass(frozen=True)
class Listed:
    """One scene's files with their date, and their nodata value where the list gives one.

    `files` has a path by the word that the pattern's group `band` finds, "" without one, and `names` the
    paths of all within the folder. `name` finds the scene again: of a single file its path within the
    folder. Of some only the year is known: their day is its first.
    """

    name: str
    scene_id: str
    files: Mapping[str, Path]
    day: date
    nodata: float | None
    is_exact: bool = True
    names: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The first of its files."""
        return next(iter(self.files.values()))

    @property
    def is_whole(self) -> bool:
        """Whether it is a single file, found without a group `band`."""
        return self.name == self.scene_id + self.path.suffix


def is_mask(name: str) -> bool:
    """Whether a file's name says that it is a mask, such as scene_SCL.tif."""
    return MASK.search(name) is not None


def has_band_group(pattern: str | None) -> bool:
    """Whether a pattern tells bands apart; False for one that is no regular expression."""
    try:
        return pattern is not None and BAND in re.compile(pattern).groupindex
    except re.error:
        return False


def by_pattern(folder: Path, text: str, nodata: float | None) -> list[Listed]:
    """The folder's scenes by the dates in their files' names. InputError where none fits."""
    return of_names(folder, _names(folder, text), text, nodata)


def of_names(folder: Path, names: Sequence[str], text: str, nodata: float | None) -> list[Listed]:
    """The scenes of some of a folder's files, paths within it, by a pattern. InputError where none fits."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"source.pattern is not a regular expression: {error}.") from None
    if "date" not in pattern.groupindex:
        raise InputError(r"source.pattern needs a group named date, such as (?P<date>\d{8}).")
    matches = [(name, match) for name in names if (match := pattern.fullmatch(name))]
    if not matches:
        raise InputError(f"source.pattern fits no file in {folder}.")
    if BAND in pattern.groupindex:
        return _by_band(folder, matches, nodata)
    images = [(name, match) for name, match in matches if not is_mask(PurePosixPath(name).name)]
    if not images:
        raise InputError(f"source.pattern fits masks alone in {folder}, such as {matches[0][0]}.")
    return [
        _whole(name, tree.path_of(folder, name), match["date"], nodata, str(folder / name))
        for name, match in images
    ]


def _names(folder: Path, pattern: str) -> list[str]:
    """The files that a pattern is compared with: all below the folder where it has a slash, by their paths
    within the folder, else those in the folder itself."""
    return tree.images(folder) if "/" in pattern else sorted(path.name for path in folder.iterdir())


def _whole(name: str, path: Path, given: str, nodata: float | None, where: str) -> Listed:
    """The scene that a single file makes."""
    scene_id = name.removesuffix(path.suffix)
    return Listed(name, scene_id, {"": path}, day(given, where), nodata, len(given) > 4, (name,))


def _by_band(folder: Path, matches: list[tuple[str, re.Match[str]]], nodata: float | None) -> list[Listed]:
    """A scene for all files that agree in what the pattern captures, the band apart; its id says that."""
    scenes: dict[str, Listed] = {}
    for name, match in matches:
        path = tree.path_of(folder, name)
        captured = {group: text or "" for group, text in match.groupdict().items()}
        word = captured.pop(BAND)
        own = "_".join(filter(None, (text.strip("-_. ") for text in captured.values())))
        found = day(match["date"], str(path))
        files = dict(scenes[own].files) if own in scenes else {}
        names = scenes[own].names if own in scenes else ()
        if word in files:
            raise InputError(
                f"source.pattern: several files of one date are {word or 'without a band'}: "
                f"{files[word].name} and {path.name}; let a further group, such as (?P<tile>...), tell their "
                "places apart, or remove one."
            )
        is_exact = len(match["date"]) > 4
        scenes[own] = Listed(own, own, {**files, word: path}, found, nodata, is_exact, (*names, name))
    return list(scenes.values())


def by_list(folder: Path, table: Path, nodata: float | None) -> list[Listed]:
    """The scenes that a CSV lists, a file each. InputError names its row and the mend."""
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
        name = Path(os.path.normpath(str(row["file"]))).as_posix()
        files.append(_whole(name, path, str(row["date"]), value, where))
    if not files:
        raise InputError(f"{table} lists no files.")
    return files


def day(text: str, where: str) -> date:
    """The day that a name or a list writes; of a year its first. InputError where it is none."""
    for form in ("%Y%j",) if DAY_OF_YEAR.fullmatch(text) else DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise InputError(
        f"{where}: '{text}' is not a date; it must be YYYY, YYYYMMDD, YYYY-MM-DD or YYYYDDD (day of the "
        f"year)."
    )
