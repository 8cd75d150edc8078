"""Ids of sites: readable, and the same whatever else is listed."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence

import shapely
from anyascii import anyascii
from shapely.geometry.base import BaseGeometry

ID_DEGREES = 1e-6
"""Geometry is rounded to this, about 0.1 m, before its hash becomes part of an id."""
LONGEST = 24
"""Characters of a name in an id."""
SHORT, LONG = 6, 16
"""Digits of an id's hash: six tell the sites of a short list apart; of 45,000 about sixty are alike."""
LATIN = str.maketrans({
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d",
    "þ": "th", "ı": "i", "ħ": "h", "ŋ": "n",
})  # fmt: skip
"""Letters that are no Latin letter with a mark, or that German writes as two."""

OF_LATIN = ("LATIN", "COMBINING", "MODIFIER")
"""First words of the Unicode names of letters and marks that Latin names have."""


def site_id(name: str | None, geometry: BaseGeometry) -> str:
    """Return a readable, stable id: the name's slug and `LONG` hex digits of the geometry's hash."""
    # normalize() makes the hash free of vertex order and starting point.
    rounded = shapely.normalize(shapely.set_precision(geometry, ID_DEGREES, mode="pointwise"))
    return f"{_slug(latin(name or ''))}-{hashlib.sha256(shapely.to_wkb(rounded)).hexdigest()[:LONG]}"


def latin(name: str) -> str:
    """Return a name in small letters, those with marks as plain ones and those of other scripts in Latin:
    `Köln-Süd` as `koeln-sued`, `Богатырь` as `bogatyr`, `平朔` as `pingshuo`."""
    composed = unicodedata.normalize("NFC", name).lower()
    return _unmarked("".join(map(_transliterated, composed)))


def _unmarked(name: str) -> str:
    """A name in small letters, those with marks as plain ones; other scripts as they are."""
    plain = unicodedata.normalize("NFC", name).lower().translate(LATIN)
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))


def _transliterated(letter: str) -> str:
    """A letter, digit or vowel sign of another script in Latin; anything else as it is."""
    is_written = letter.isalnum() or unicodedata.category(letter) in {"Mc", "Mn"}
    if not is_written or unicodedata.name(letter, "").startswith(OF_LATIN):
        return letter
    if any(c.isascii() and c.isalnum() for c in _unmarked(letter)):
        return letter  # ½, №, full-width letters
    return re.sub(r"[^A-Za-z0-9]", "", anyascii(letter))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST].strip("-") or "mine"


def short_ids(ids: list[str]) -> list[str]:
    """Return different ids with their hashes cut to `SHORT` digits, but where that would make two alike."""
    cut = [name[: SHORT - LONG] for name in ids]
    times = Counter(cut)
    return [short if times[short] == 1 else name for short, name in zip(cut, ids, strict=True)]


def known(ids: Sequence[str], names: Sequence[str | None], there: Container[str]) -> list[str]:
    """Return ids in the form in which they are there already: before letters of other scripts were written in
    Latin, and those with marks as plain ones, they were left out, and names in a column `mine` were not read.
    """
    found = []
    for own, name in zip(ids, names, strict=True):
        digits = own.rpartition("-")[2]
        before = (f"{_slug(word)}-{digits}" for word in (_unmarked(name or ""), name or "", ""))
        found.append(own if own in there else next((old for old in before if old in there), own))
    return found
