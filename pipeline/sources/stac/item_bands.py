"""Which asset of an item holds a band, and which of the asset's bands it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pystac
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj.exceptions import ProjError

from pipeline.sensors.airborne import LETTERS
from pipeline.sensors.profile import Profile
from pipeline.sources.protocol import Asset
from pipeline.sources.stac.addresses import Place

LISTS = ("eo:bands", "bands", "raster:bands")
"""Fields that list an asset's bands in their order: the eo extension, STAC 1.1, the raster extension."""
NAMES, COMMON = ("name", "description"), ("common_name", "eo:common_name")
SHOWN = frozenset({"visual", "overview", "thumbnail", "preview", "rendered_preview", "metadata", "tiles"})
"""Roles and keys of assets that hold no band's numbers, though they may list bands."""
MEASURED = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/x.geotiff")
"""Media types of assets that may hold a band's numbers."""
UPSAMPLED = "sampling:upsampled"
"""Role of a copy with smaller pixels than the instrument's."""
NUMBERED = "#"
"""Between an asset's key and its band's name or number, as in image#Red or image#1."""

WRONG = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, ProjError)
"""What describing a grid raises where an item's fields are no grid's."""

WORDS = {**{letter.lower(): word for letter, word in LETTERS.items()}, "nearinfrared": "nir"}
"""Names of a band to the one that stands for them."""


@dataclass(frozen=True)
class Found:
    """A band's asset and its number there; 0 where the asset does not say which. `told` says that something
    did, and that it was not only the asset's first or only band."""

    key: str
    asset: pystac.Asset
    index: int
    told: bool = False


def find(
    item: pystac.Item, bands: Sequence[str], named: Mapping[str, str], profile: Profile
) -> dict[str, Found]:
    """Return the assets of an item that hold bands, and nothing for a band that none holds.

    Parameters
    ----------
    bands
        The bands that are asked for, the mask among them.
    named
        Band to the asset that the recipe names: its key, or its key and a band of it such as image#Red.
    profile
        The sensor, which knows usual keys and common names.
    """
    usual = usual_keys(profile)
    found: dict[str, Found] = {}
    for band in bands:
        spellings = _spellings(band, profile)
        keys = [named.get(band) or usual.get(band, band), band]
        one = next((hit for key in keys if (hit := _of_key(item, key, spellings))), None)
        if one is None and band not in named:
            one = _of_size(item, band) or _of_words(item, band, profile)
        if one is not None:
            found[band] = one
    return _told_apart(found)


def usual_keys(profile: Profile) -> dict[str, str]:
    """Return band to key as most catalogues have it, the mask's too."""
    return {**profile.assets, **({profile.mask.name: profile.mask.asset} if profile.mask else {})}


def unclear(found: Mapping[str, Found]) -> str:
    """Return which bands of an item cannot be told apart, in words; empty where all can."""
    lost = [band for band, one in found.items() if not one.index]
    if not lost:
        return ""
    key = found[lost[0]].key
    return (
        f"asset {key} has several bands and does not say which is {', '.join(lost)}; number them in "
        f"source.assets, as {lost[0]}: {key}{NUMBERED}1"
    )


def described(item: pystac.Item, found: Found, place: Place) -> Asset:
    """Return an asset with its grid by the projection extension, its own fields before the item's. One of
    WRONG where these describe no grid."""
    grid = _grid({**item.properties, **found.asset.extra_fields})
    return Asset(place.href, grid, max(1, found.index), region=place.region)


def _grid(fields: Mapping[str, Any]) -> GeoBox | None:
    code = fields.get("proj:code") or (f"EPSG:{fields['proj:epsg']}" if fields.get("proj:epsg") else None)
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    if not (code and shape and transform):
        return None
    height, width = (int(side) for side in shape)
    affine = Affine(*transform[:6])
    if [height, width] != list(shape) or min(height, width) < 1 or not isinstance(code, str):
        raise ValueError("no shape, or no code")
    if not all(map(math.isfinite, affine)) or affine.is_degenerate:
        raise ValueError("no pixel")
    return GeoBox((height, width), affine, code)


def _of_key(item: pystac.Item, key: str, spellings: frozenset[str]) -> Found | None:
    """The asset of a key, or the band of it that stands behind the key."""
    if key in item.assets:
        return _numbered(key, item.assets[key], spellings)
    key, mark, word = key.rpartition(NUMBERED)
    if not mark or key not in item.assets:
        return None
    asset = item.assets[key]
    if word.isdigit():
        return Found(key, asset, int(word), told=True)
    return Found(key, asset, _position(asset, frozenset({_plain(word)}), (*NAMES, *COMMON)), told=True)


def _numbered(key: str, asset: pystac.Asset, spellings: frozenset[str]) -> Found:
    index = _position(asset, spellings, NAMES) or _position(asset, spellings, COMMON)
    if index:
        return Found(key, asset, index, told=True)
    return Found(key, asset, 1 if _count(asset) <= 1 else 0)


def _told_apart(found: dict[str, Found]) -> dict[str, Found]:
    """Without the numbers of bands that share an asset which does not tell one from the other."""
    keys = [one.key for one in found.values() if not one.told]
    return {
        band: replace(one, index=0) if not one.told and keys.count(one.key) > 1 else one
        for band, one in found.items()
    }


def _of_size(item: pystac.Item, band: str) -> Found | None:
    """The finest of assets such as B02_10m and B02_20m."""
    pattern = re.compile(rf"{re.escape(band)}_(\d+)m", re.IGNORECASE)
    keys = [key for key in item.assets if pattern.fullmatch(key)]
    return _finest([Found(key, item.assets[key], 1, told=True) for key in keys])


def _of_words(item: pystac.Item, band: str, profile: Profile) -> Found | None:
    """The asset that lists a band under its name, else under its common name where only one band has it."""
    own, spellings = frozenset({_plain(band)}), _spellings(band, profile)
    data = [(key, asset) for key, asset in item.assets.items() if _holds_numbers(key, asset)]
    for wanted, fields in ((own, NAMES), (spellings, COMMON), (spellings, NAMES)):
        hits = [
            Found(key, asset, n, told=True) for key, asset in data if (n := _position(asset, wanted, fields))
        ]
        if len({name for hit in hits for name in _names_at(hit)}) <= 1 and hits:
            return _finest(hits)
    return None


def _names_at(hit: Found) -> list[str]:
    """The name of a band that was found, to tell whether others are the same."""
    entries = [entries[hit.index - 1] for entries in _lists(hit.asset) if hit.index <= len(entries)]
    return [_plain(entry["name"]) for entry in entries if entry.get("name")][:1]


def _finest(hits: Sequence[Found]) -> Found | None:
    """Of several copies of a band the one with the smallest pixels that were not made from larger ones;
    GeoTIFF before other formats."""

    def rank(hit: Found) -> tuple[bool, float, bool]:
        roles, kind = hit.asset.roles or [], hit.asset.media_type or ""
        return UPSAMPLED in roles, _pixel(hit), "jp2" in kind or hit.asset.href.lower().endswith(".jp2")

    return min(hits, key=rank, default=None)


def _pixel(hit: Found) -> float:
    """The side of an asset's pixel, metres, by what it says of it; infinite where it says nothing."""
    fields = hit.asset.extra_fields
    listed = [entries[0].get("spatial_resolution") for entries in _lists(hit.asset) if entries]
    transform, size = fields.get("proj:transform"), re.search(r"_(\d+)m$", hit.key)
    said = [
        size[1] if size else None, fields.get("gsd"), fields.get("raster:spatial_resolution"), *listed,
        abs(transform[0]) if isinstance(transform, list) and transform else None,
    ]  # fmt: skip
    return next((float(one) for one in said if isinstance(one, int | float | str)), float("inf"))


def _holds_numbers(key: str, asset: pystac.Asset) -> bool:
    kind = (asset.media_type or MEASURED[0]).split(";")[0].strip()
    return key not in SHOWN and not SHOWN & set(asset.roles or []) and kind in MEASURED


def _position(asset: pystac.Asset, wanted: frozenset[str], fields: Sequence[str]) -> int:
    """Which of an asset's bands has one of the names, counted from 1; 0 where none or several have."""
    for entries in _lists(asset):
        hits = [
            number
            for number, entry in enumerate(entries, 1)
            if any(_plain(entry[field]) in wanted for field in fields if entry.get(field))
        ]
        if len(hits) == 1:
            return hits[0]
    return 0


def _count(asset: pystac.Asset) -> int:
    return max((len(entries) for entries in _lists(asset)), default=0)


def _lists(asset: pystac.Asset) -> Iterator[list[dict[str, Any]]]:
    for field in LISTS:
        entries = asset.extra_fields.get(field)
        if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
            yield entries


def _spellings(band: str, profile: Profile) -> frozenset[str]:
    """Names under which a band may be listed: its own, its common name, its usual key."""
    found = (band, profile.common.get(band), profile.assets.get(band))
    return frozenset(_plain(name) for name in found if name)


def _plain(name: Any) -> str:
    """A band's name without its spelling: Red, red and R are one, B2 and B02, near-infrared and NIR."""
    text = re.sub(r"[^a-z0-9]", "", str(name).lower())
    text = re.sub(r"^(?:band|b)0*(\d+a?)$", r"b\1", text)
    return {**{letter.lower(): word for letter, word in LETTERS.items()}, "nearinfrared": "nir"}.get(
        text, text
    )
