"""Which band of a file is which: by its descriptions, by its colour interpretation, else a guess."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

NAMED = {1: ("pan",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "NIR")}
COLOURS = {ColorInterp.red: "R", ColorInterp.green: "G", ColorInterp.blue: "B"}
SHOWN = {
    "red": ("r", "red", "b04", "b4", "sr_b4"),
    "green": ("g", "green", "b03", "b3", "sr_b3"),
    "blue": ("b", "blue", "b02", "b2", "sr_b2"),
}
"""Names of the bands that a picture shows."""
ORDER = ("coastal", "blue", "b", "green", "g", "red", "r", "rededge", "nir", "n", "swir", "pan")
GUESSED = "a guess: the files do not name their bands"
NIR_GUESSED = "; NIR is a guess"
HOW_TO_CHECK = (
    "Open a file in QGIS with these bands as red, green and blue: where its colours are not natural,\n"
    "  # correct the numbers."
)


@dataclass(frozen=True)
class Bands:
    """Band name to its number in the file; `about` says where the names come from."""

    numbers: dict[str, int]
    about: str


def of_file(file: DatasetReader) -> Bands:
    """The bands of an open file, without its alpha band."""
    numbers = [i for i in range(1, file.count + 1) if not _is_alpha(file, i)]
    named = [_name(file.descriptions[i - 1]) for i in numbers]
    if all(named) and len(set(named)) == len(named):
        return Bands({str(name): i for name, i in zip(named, numbers, strict=True)}, "as the files name them")
    found = [COLOURS.get(file.colorinterp[i - 1]) for i in numbers]
    # GDAL calls any three bands of 8 bits red, green and blue: in that order it says nothing.
    is_said = file.dtypes[0] != "uint8" or found[:3] != list(NAMED[3])
    others = [i for i, name in zip(numbers, found, strict=True) if name is None]
    if is_said and sorted(filter(None, found)) == ["B", "G", "R"] and len(others) < 2:
        names = [name or "NIR" for name in found]
        nir = NIR_GUESSED if others else ""
        return Bands(dict(zip(names, numbers, strict=True)), f"by the files' colour interpretation{nir}")
    guessed = NAMED.get(len(numbers), tuple(f"B{i}" for i in numbers))
    return Bands(dict(zip(guessed, numbers, strict=True)), GUESSED if len(numbers) > 1 else "")


def shown(bands: Sequence[str]) -> tuple[str, str, str]:
    """The bands of a picture: red, green and blue by their names, else the first three."""
    by_lower = {band.lower(): band for band in bands}
    found = [next((by_lower[w] for w in words if w in by_lower), None) for words in SHOWN.values()]
    if all(found):
        return str(found[0]), str(found[1]), str(found[2])
    last = len(bands) - 1
    return bands[0], bands[min(1, last)], bands[min(2, last)]


def in_order(words: Sequence[str]) -> list[str]:
    """Words of bands by wavelength where they are colours, else by their letters and numbers."""

    def rank(word: str) -> tuple[int, int, str]:
        colour = re.sub(r"[-_]|\d+$", "", word.lower())
        number = re.search(r"\d+", word)
        known = ORDER.index(colour) if colour in ORDER and not re.fullmatch(r"b\d+", word.lower()) else 0
        return known, int(number.group()) if number else 0, word

    return sorted(words, key=rank)


def _name(description: str | None) -> str | None:
    """A description as a band's name; None for one that only counts, such as Band 1."""
    text = (description or "").strip()
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", text)
    return text if plain and not re.fullmatch(r"(?i)(?:band|layer|channel)[-_]?\d+", text) else None


def _is_alpha(file: DatasetReader, number: int) -> bool:
    """Whether a band is transparency. GDAL calls every fourth band of 8 bits so where nothing else is said:
    it must look like it."""
    if file.colorinterp[number - 1] != ColorInterp.alpha or file.descriptions[number - 1]:
        return False
    shape = min(file.height, 256), min(file.width, 256)
    return bool(np.isin(file.read(number, out_shape=shape), (0, 255)).all())
