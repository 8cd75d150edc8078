"""What the names of a folder's files tell: the date, the band, and the pattern that finds both."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import InputError
from pipeline.sources.local import dated_files

DATES = (r"(?<!\d)(?P<date>(?:19|20)\d{2}-\d{2}-\d{2})(?!\d)", r"(?<!\d)(?P<date>(?:19|20)\d{6})(?!\d)",
         r"(?<!\d)(?P<date>(?:19|20)\d{2})(?!\d)")  # fmt: skip
"""How names tell a date, the most exact first: 2014-02-20, 20140220, 2014."""
SUFFIX = r"\.[tT][iI][fF]{1,2}"
BAND = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:SR_)?B\d{1,2}A?|band[-_]?\d+|coastal|blue|green|red|nir(?:08|09)?|swir\d*|"
    r"red[-_]?edge\d*|pan|VV|VH|HH|HV|[RGBN])(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""Words of which each names a band."""
DERIVED = re.compile(r"(?<![A-Za-z0-9])(?:TCI|AOT|WVP|PVI|NDVI|EVI|NDWI|NDMI|NBR|SNW)(?![A-Za-z0-9])")
"""Words of what is made from bands and lies beside them."""


@dataclass(frozen=True)
class Named:
    """Files by what their names tell. `words` are the bands' and `masks` the masks', and both are empty where
    a file is a whole image; `left_out` are files that are neither."""

    pattern: str
    dates: list[str]
    images: list[str]
    words: list[str]
    masks: list[str]
    left_out: list[str]

    def of_one_date(self) -> list[str]:
        """The images of the date that has most files."""
        by_date: dict[str, list[str]] = defaultdict(list)
        for name in self.images:
            if match := re.fullmatch(self.pattern, name):
                by_date[match["date"]].append(name)
        return max(by_date.values(), key=len)


def read(names: Sequence[str], folder: str) -> Named:
    """Read the names of a folder's GeoTIFFs. InputError where they tell no dates, or bands in part."""
    masks = [name for name in names if dated_files.is_mask(name)]
    derived = [name for name in names if DERIVED.search(name) and name not in masks]
    images = [name for name in names if name not in masks and name not in derived] or derived
    left_out = [name for name in names if name not in images]
    if not images:
        raise InputError(f"--images: {folder} holds masks alone, such as {masks[0]}.")
    date = next((date for date in DATES if all(re.search(date, name) for name in images)), None)
    if date is None:
        raise InputError(
            f"--images: not all files of {folder} have a date in their names, such as {images[0]}: rename "
            "them, or write source.dates into the recipe by hand."
        )
    words = {name: match for name in images if (match := _band(name, date))}
    if len({match.group() for match in words.values()}) < 2 or not _differ_within_a_date(words, date):
        if pairs := _beside(masks, images):
            own = sorted({match.group() for match in pairs.values()})
            pattern = rf"(?P<part1>.*?){date}(?P<part2>.*?)(?:[-_](?P<band>{'|'.join(own)}))?{SUFFIX}"
            return Named(
                pattern, _dates(images, date), images, [], own, [n for n in left_out if n not in pairs]
            )
        return Named(rf".*?{date}.*{SUFFIX}", _dates(images, date), images, [], [], left_out)
    if lost := [name for name in images if name not in words]:
        raise InputError(
            f"--images: {folder} has one file per band, such as {next(iter(words))}, and {lost[0]}, whose "
            "name has no band: move it to another folder."
        )
    words |= {name: match for name in masks if (match := dated_files.MASK.search(name))}
    dated = {name: match for name, match in words.items() if re.search(date, name)}
    of_masks = sorted({dated[name].group() for name in masks if name in dated})
    pattern = _pattern(dated, date)
    in_bands = [name for name in left_out if name not in dated]
    return Named(
        pattern, _dates(images, date), images, sorted({words[n].group() for n in images}), of_masks, in_bands
    )


def _dates(names: Sequence[str], date: str) -> list[str]:
    return [match["date"] for name in names if (match := re.search(date, name))]


def _band(name: str, date: str) -> re.Match[str] | None:
    """The last word of a name that names a band, but for the date."""
    told = re.search(date, name)
    found = [match for match in BAND.finditer(name) if not told or not _overlap(match, told)]
    return found[-1] if found else None


def _beside(masks: Sequence[str], images: Sequence[str]) -> dict[str, re.Match[str]]:
    """Masks that are called as an image, with a word more at the end: that word in each name."""
    found = {}
    for name in masks:
        stem, _, suffix = name.rpartition(".")
        match = dated_files.MASK.search(name)
        if match and match.end() == len(stem) and f"{stem[: match.start() - 1]}.{suffix}" in images:
            found[name] = match
    return found


def _overlap(one: re.Match[str], other: re.Match[str]) -> bool:
    return one.start() < other.end("date") and other.start("date") < one.end()


def _differ_within_a_date(words: dict[str, re.Match[str]], date: str) -> bool:
    """Whether files of one date have several bands' words."""
    by_date: dict[str, set[str]] = defaultdict(set)
    for name, match in words.items():
        (day,) = _dates([name], date)
        by_date[day].add(match.group())
    return any(len(found) > 1 for found in by_date.values())


def _pattern(words: dict[str, re.Match[str]], date: str) -> str:
    """The pattern of files of one band each: what changes with the band alone is passed over, and what
    changes otherwise, such as a tile's name, tells scenes apart."""
    known = sorted({re.escape(match.group()) for match in words.values()}, key=_long_first)
    band = f"(?P<band>{'|'.join(known)})"
    pieces: list[tuple[str, ...]] = []
    first = set()
    for name, match in words.items():
        told = re.search(date, name)
        assert told is not None  # of dated names alone
        day, own = told.span("date"), match.span()
        first.add(day < own)
        (a, b), (c, d) = sorted([day, own])
        pieces.append((match.group(), name[:a], name[b:c], name[d:].rpartition(".")[0]))
    if len(first) > 1:
        raise InputError("--images: in some names the date comes first and in others the band: rename them.")
    date_first = first.pop()
    # Of several dates in a name the first is that of the image, and of several words the last is the band.
    every = (".*?", ".*") if date_first else (".*", ".*?")
    parts = [_part(number, pieces, some) for number, some in enumerate((*every, ".*"), 1)]
    middle = (date, band) if date_first else (band, date)
    pattern = f"{parts[0]}{middle[0]}{parts[1]}{middle[1]}{parts[2]}{SUFFIX}"
    for name, match in words.items():
        found = re.fullmatch(pattern, name)
        if found is None or (found["date"], found["band"]) != (*_dates([name], date), match.group()):
            raise InputError(
                f"--images: the name {name} does not tell date and band clearly: rename the files."
            )
    return pattern


def _long_first(word: str) -> tuple[int, str]:
    return -len(word), word


def _part(number: int, pieces: Sequence[tuple[str, ...]], some: str) -> str:
    """A piece of the names around date and band, as a pattern; `some` is what stands for any text."""
    by_band: dict[str, set[str]] = defaultdict(set)
    for piece in pieces:
        by_band[piece[0]].add(piece[number])
    whole = set.union(*by_band.values())
    only = next(iter(whole)) if len(whole) == 1 else None
    if only is not None and not re.search(r"[^\W_]", only):
        return re.escape(only).replace(r"\-", "-")
    # A single name today may be one of several tomorrow.
    if only is None and all(len(found) == 1 for found in by_band.values()):
        return some
    return f"(?P<part{number}>{some})"
