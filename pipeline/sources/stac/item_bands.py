"""Find the asset of an item that holds a band, and the band's number in the asset."""

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
"""Fields of a listed band with its name, and with its common name (red, nir08)."""
SHOWN = frozenset({"visual", "overview", "thumbnail", "preview", "rendered_preview", "metadata", "tiles"})
"""Roles and keys of assets for display or with metadata, which may list bands but hold no measurements."""
MEASURED = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/x.geotiff")
"""Media types of assets that may hold measurements."""
REFLECTANCE = "reflectance"
"""Role of assets whose numbers, scaled as stated, are reflectance."""
UPSAMPLED = "sampling:upsampled"
"""Role of a copy that was resampled to smaller pixels than the instrument's."""
NUMBERED = "#"
"""Separates an asset's key from a band's name or number, as in image#Red or image#1."""

WRONG = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, ProjError)
"""What `described` raises if an item's projection fields are not valid."""

WORDS = {**{letter.lower(): word for letter, word in LETTERS.items()}, "nearinfrared": "nir"}
"""Spellings of a band's name to the one that stands for all of them."""


@dataclass(frozen=True)
class AssetBand:
    """The asset that holds a band, and the band's number there (`index`, from 1; 0 if it is not known).

    `is_stated` says that the recipe or the item states the number. Otherwise 1 means that the asset lists one
    band or none.
    """

    key: str
    asset: pystac.Asset
    index: int
    is_stated: bool = False


def find(
    item: pystac.Item, bands: Sequence[str], named: Mapping[str, str], profile: Profile
) -> dict[str, AssetBand]:
    """Return the asset of an item for each band; a band that no asset holds is left out.

    Parameters
    ----------
    bands
        The bands to look for, and the mask's.
    named
        Band to the asset that the recipe names for it: a key, or a key and one of its bands (image#Red).
    profile
        The sensor, which has the usual keys and common names.
    """
    usual = usual_keys(profile)
    found: dict[str, AssetBand] = {}
    for band in bands:
        spellings = _spellings(band, profile)
        keys = [named.get(band) or usual.get(band, band), band]
        one = next((hit for key in keys if (hit := _of_key(item, key, spellings))), None)
        if one is None and band not in named:
            one = _of_size(item, band) or _of_words(item, band, profile)
        if one is not None:
            found[band] = one
    return _without_guesses(found)


def usual_keys(profile: Profile) -> dict[str, str]:
    """Return the usual asset key of each band, and of the mask."""
    return {**profile.assets, **({profile.mask.name: profile.mask.asset} if profile.mask else {})}


def unclear(found: Mapping[str, AssetBand]) -> str:
    """Return which bands have no known number in their asset, in words; empty if all have one."""
    unknown = [band for band, one in found.items() if not one.index]
    if not unknown:
        return ""
    key = found[unknown[0]].key
    return (
        f"asset {key} has several bands and does not say which is {', '.join(unknown)}; number them in "
        f"source.assets, as {unknown[0]}: {key}{NUMBERED}1"
    )


def described(item: pystac.Item, found: AssetBand, place: Place) -> Asset:
    """Return an asset with its grid by the projection extension; the asset's fields override the item's.
    Raises one of WRONG if these are not valid."""
    grid = _grid({**item.properties, **found.asset.extra_fields})
    return Asset(place.href, grid, max(1, found.index), region=place.region)


def scaled(found: AssetBand, asset: Asset) -> Asset:
    """Return an asset with the scale and the number of no data that its item states for the band. Only where
    its role says that it is reflectance: heights and temperatures have scales too. Raises one of WRONG."""
    if REFLECTANCE not in (found.asset.roles or []):
        return asset
    at = [entries[asset.index - 1] for entries in _lists(found.asset) if asset.index <= len(entries)]
    every = [*at, found.asset.extra_fields]
    scale, offset, nodata = (
        next((one[name] for one in every for name in names if one.get(name) is not None), None)
        for names in (("scale", "raster:scale"), ("offset", "raster:offset"), ("nodata", "raster:nodata"))
    )
    if scale is None and offset is None:
        return asset
    factors = 1.0 if scale is None else float(scale), float(offset or 0)
    if not all(map(math.isfinite, factors)) or factors[0] <= 0:
        raise ValueError("raster:scale or raster:offset")
    return replace(asset, scale=factors, nodata=None if nodata is None else float(nodata))


def _grid(fields: Mapping[str, Any]) -> GeoBox | None:
    """Return the grid that fields of the projection extension describe; None if they are incomplete."""
    code = fields.get("proj:code") or (f"EPSG:{fields['proj:epsg']}" if fields.get("proj:epsg") else None)
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    if not (code and shape and transform):
        return None
    height, width = (int(side) for side in shape)
    affine = Affine(*transform[:6])
    if [height, width] != list(shape) or min(height, width) < 1 or not isinstance(code, str):
        raise ValueError("proj:shape or proj:code")
    if not all(map(math.isfinite, affine)) or affine.is_degenerate:
        raise ValueError("proj:transform")
    return GeoBox((height, width), affine, code)


def _of_key(item: pystac.Item, key: str, spellings: frozenset[str]) -> AssetBand | None:
    """Return the asset with a key such as B02, or the band of an asset named by a key such as image#Red."""
    if key in item.assets:
        return _numbered(key, item.assets[key], spellings)
    key, separator, name = key.rpartition(NUMBERED)
    if not separator or key not in item.assets:
        return None
    asset = item.assets[key]
    if name.isdigit():
        return AssetBand(key, asset, int(name), is_stated=True)
    return AssetBand(
        key, asset, _position(asset, frozenset({_plain(name)}), (*NAMES, *COMMON)), is_stated=True
    )


def _numbered(key: str, asset: pystac.Asset, spellings: frozenset[str]) -> AssetBand:
    index = _position(asset, spellings, NAMES) or _position(asset, spellings, COMMON)
    if index:
        return AssetBand(key, asset, index, is_stated=True)
    return AssetBand(key, asset, 1 if _count(asset) <= 1 else 0)


def _without_guesses(found: dict[str, AssetBand]) -> dict[str, AssetBand]:
    """Set the number to 0 where several bands have the same asset and nothing states their numbers."""
    keys = [one.key for one in found.values() if not one.is_stated]
    return {
        band: replace(one, index=0) if not one.is_stated and keys.count(one.key) > 1 else one
        for band, one in found.items()
    }


def _of_size(item: pystac.Item, band: str) -> AssetBand | None:
    """Return the finest of assets such as B02_10m and B02_20m."""
    pattern = re.compile(rf"{re.escape(band)}_(\d+)m", re.IGNORECASE)
    keys = [key for key in item.assets if pattern.fullmatch(key)]
    return _finest([AssetBand(key, item.assets[key], 1, is_stated=True) for key in keys])


def _of_words(item: pystac.Item, band: str, profile: Profile) -> AssetBand | None:
    """Return the asset that lists a band by its name, else by its common name if only one band has it."""
    names, spellings = frozenset({_plain(band)}), _spellings(band, profile)
    data = [(key, asset) for key, asset in item.assets.items() if _is_measured(key, asset)]
    for wanted, fields in ((names, NAMES), (spellings, COMMON), (spellings, NAMES)):
        hits = [
            AssetBand(key, asset, n, is_stated=True)
            for key, asset in data
            if (n := _position(asset, wanted, fields))
        ]
        if len({name for hit in hits for name in _names_at(hit)}) <= 1 and hits:
            return _finest(hits)
    return None


def _names_at(hit: AssetBand) -> list[str]:
    """Return the listed name of a band, in a list of at most one, to see whether two are the same band."""
    entries = [entries[hit.index - 1] for entries in _lists(hit.asset) if hit.index <= len(entries)]
    return [_plain(entry["name"]) for entry in entries if entry.get("name")][:1]


def _finest(hits: Sequence[AssetBand]) -> AssetBand | None:
    """Return the copy of a band with the smallest pixels, preferring those that were not upsampled; of equal
    ones GeoTIFF before JPEG 2000."""

    def rank(hit: AssetBand) -> tuple[bool, float, bool]:
        roles, kind = hit.asset.roles or [], hit.asset.media_type or ""
        return UPSAMPLED in roles, _pixel(hit), "jp2" in kind or hit.asset.href.lower().endswith(".jp2")

    return min(hits, key=rank, default=None)


def _pixel(hit: AssetBand) -> float:
    """Return the side of an asset's pixels by its key or fields, metres; infinite if neither states it."""
    fields = hit.asset.extra_fields
    listed = [entries[0].get("spatial_resolution") for entries in _lists(hit.asset) if entries]
    transform, size = fields.get("proj:transform"), re.search(r"_(\d+)m$", hit.key)
    stated = [
        size[1] if size else None, fields.get("gsd"), fields.get("raster:spatial_resolution"), *listed,
        abs(transform[0]) if isinstance(transform, list) and transform else None,
    ]  # fmt: skip
    return next((float(one) for one in stated if isinstance(one, int | float | str)), float("inf"))


def _is_measured(key: str, asset: pystac.Asset) -> bool:
    kind = (asset.media_type or MEASURED[0]).split(";")[0].strip()
    return key not in SHOWN and not SHOWN & set(asset.roles or []) and kind in MEASURED


def _position(asset: pystac.Asset, wanted: frozenset[str], fields: Sequence[str]) -> int:
    """Return the number, from 1, of the one band with a wanted name; 0 if none or several bands have one."""
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
    """Yield an asset's lists of bands, of each extension that it uses."""
    for field in LISTS:
        entries = asset.extra_fields.get(field)
        if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
            yield entries


def _spellings(band: str, profile: Profile) -> frozenset[str]:
    """Return the names under which a band may be listed: its own, its common name, its usual key."""
    names = (band, profile.common.get(band), profile.assets.get(band))
    return frozenset(_plain(name) for name in names if name)


def _plain(name: Any) -> str:
    """Return one spelling for the names of a band: Red, red and R; B2 and B02; near-infrared and NIR."""
    text = re.sub(r"[^a-z0-9]", "", str(name).lower())
    text = re.sub(r"^(?:band|b)0*(\d+a?)$", r"b\1", text)
    return WORDS.get(text, text)
