"""The offset of Sentinel-2's processing baseline 04.00: whether digital numbers carry 1000 more than
reflectance x 10000, and what says so.

The order of evidence, the first that speaks decides:

1. What the provider guarantees: Earth Engine's HARMONIZED collections never carry it; Planetary Computer and
   `sentinel-2-c1-l2a` always do from baseline 04.00 on.
2. What the item says: its baseline (below 04.00 there never was an offset), a flag `boa_offset_applied`, the
   asset's `raster:offset`.
3. Pixels (`pipeline.scenes.radiometry`), where these words are missing, contradict one another, or are known
   to be wrong: the flags of Earth Search are (Element84/earth-search issues 9, 24, 66 and 71).

The sensing date is no evidence: early scenes have been processed again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOA_OFFSET = 1000
"""What processing baseline 04.00 added to the digital numbers."""
BASELINES = ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline")
"""Properties that name the baseline itself."""
PRODUCTS = (
    "s2:product_uri", "s2:product_id", "sentinel:product_id", "s2:granule_id", "s2:tile_id", "s2:datatake_id",
    "title",
)  # fmt: skip
"""Properties that name the product, whose name has the baseline as a number such as N0511."""
FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied", "s2:boa_offset_applied")
GUARANTEED = ("sentinel-2-c1-l2a",)
"""Collections whose numbers are ESA's, as they were delivered."""
NOTHING_SAYS = "nothing says"
"""The evidence of items without a word on it."""
PLANETARY_COMPUTER = "planetarycomputer.microsoft.com"


@dataclass(frozen=True)
class Words:
    """What is said of a scene's numbers without looking at them.

    `offset` (0 or 1000) is to be taken from them, says `evidence`; pixels decide where that is not `sure`.
    """

    offset: int
    evidence: str
    sure: bool
    baseline: str = ""


HARMONIZED = Words(0, "harmonized by Earth Engine", True)
NO_OFFSET = Words(0, "", True)
"""Of sensors that never had one."""


def without_offset(pixels: NDArray[Any], offset: int) -> NDArray[Any]:
    """Return digital numbers less `offset`, in place; nodata stays 0.

    Below the offset reflectance is negative: that becomes 1, the smallest valid number.
    """
    if offset:
        valid = pixels > 0
        np.maximum(pixels, pixels.dtype.type(offset + 1), out=pixels)
        pixels -= pixels.dtype.type(offset)
        pixels *= valid
    return pixels


def carries(baseline: str) -> bool:
    """Return whether ESA put the offset into products of this processing baseline, such as "05.11"."""
    return bool(baseline) and float(baseline) >= 4


def never_carried(baseline: str) -> bool:
    """Return whether a baseline, in whatever words, is known to be one from before the offset."""
    version = _version(baseline)
    return bool(version) and not carries(version)


def baselines(properties: Mapping[str, Any], names: Iterable[str] = ()) -> dict[str, str]:
    """Return the baseline by each property that has one; `names` are further names of the product."""
    found = {key: _version(properties.get(key)) for key in BASELINES}
    products = {key: properties.get(key) for key in PRODUCTS} | {f"name {name}": name for name in names}
    found |= {key: _number(product) for key, product in products.items()}
    return {key: baseline for key, baseline in found.items() if baseline}


def by_provider(properties: Mapping[str, Any], provider: str, names: Iterable[str] = ()) -> Words:
    """Return the words on a scene of a provider whose numbers are ESA's own."""
    found = baselines(properties, names)
    if not found:
        return Words(0, f"{provider} without a baseline", False)
    baseline = next(iter(found.values()))
    return Words(BOA_OFFSET * carries(baseline), f"{provider}, baseline {baseline}", True, baseline)


def by_item(properties: Mapping[str, Any], stated: float | None, names: Iterable[str] = ()) -> Words:
    """Return the words of an item alone.

    Parameters
    ----------
    properties
        The item's properties.
    stated
        The offset of its assets in digital numbers, as `raster:offset` has it: what is to be taken from
        them. None where no asset states one.
    names
        Further names of the product, such as the item's id.
    """
    found = baselines(properties, names)
    flags = [value for key in FLAGS if (value := _truth(properties.get(key))) is not None]
    if not found:
        return _without_baseline(flags, stated)
    key, baseline = next(iter(found.items()))
    evidence = f"{key} {baseline}"
    if len({carries(other) for other in found.values()}) > 1:
        others = ", ".join(f"{other} {value}" for other, value in found.items() if other != key)
        return Words(BOA_OFFSET * carries(baseline), f"{evidence}, but {others}", False, baseline)
    if not carries(baseline):
        return Words(0, evidence, True, baseline)
    if flags:
        applied = flags[0]
        said = f"{evidence}, boa_offset_applied {str(applied).lower()}"
        return Words(0 if applied else BOA_OFFSET, said, False, baseline)
    if stated == 0:
        return Words(0, f"{evidence}, but raster:offset 0", False, baseline)
    return Words(BOA_OFFSET, evidence, True, baseline)


def _without_baseline(flags: list[bool], stated: float | None) -> Words:
    if flags and flags[0]:
        return Words(0, "boa_offset_applied true, no baseline", False)
    if stated is not None:
        offset = BOA_OFFSET if stated > BOA_OFFSET / 2 else 0
        return Words(offset, f"raster:offset {-stated / 10_000:g}, no baseline", False)
    return Words(0, NOTHING_SAYS, False)


def stated_offset(fields: Mapping[str, Any]) -> float | None:
    """Return the offset in digital numbers that an asset states (`raster:offset`, `raster:bands`, STAC 1.1's
    `bands`), positive where it is to be taken from them; None where it states none."""
    listed = [fields.get(key) for key in ("raster:bands", "bands")]
    first = [entries[0] for entries in listed if isinstance(entries, list) and entries]
    for entry in (fields, *(entry for entry in first if isinstance(entry, dict))):
        for key in ("raster:offset", "offset"):
            if key in entry and isinstance(entry[key], int | float):
                scale = entry.get(key.replace("offset", "scale")) or 1e-4
                return -entry[key] / float(scale)
    return None


def _version(value: Any) -> str:
    """Return a baseline as "05.11", also of 5.11 or "N0511"; empty where it is none, such as a program's
    version."""
    match = re.fullmatch(r"[vN]?(\d{1,2})\.?(\d{2})", str(value).strip()) if value is not None else None
    return _plausible(match)


def _number(name: Any) -> str:
    """Return the baseline in a product's name."""
    return _plausible(re.search(r"_N(\d{2})\.?(\d{2})(?=[_.]|$)", str(name))) if name else ""


def _plausible(match: re.Match[str] | None) -> str:
    """Return the baseline that was found; N9999 stands for products of somebody's own."""
    return f"{int(match[1]):02}.{match[2]}" if match and int(match[1]) <= 20 else ""


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).lower())
