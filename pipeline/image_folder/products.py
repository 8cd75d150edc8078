"""What the names of published products tell: whose they are, what their numbers and their masks mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.image_folder.number_guess import Scale
from pipeline.sensors import landsat, sentinel2

LANDSAT = re.compile(r"L[COTEM]0(?P<number>[4-9])_L2S[PR]_\d{6}_")
HLS = re.compile(r"HLS\.(?P<kind>[SL]30)\.T\d{2}[A-Z]{3}\.\d{7}T\d{6}")
ESA = re.compile(r"S2[A-D]_MSIL(?P<level>1C|2A)_")
SENTINEL2_WORDS = re.compile(r"B(?:0?[1-9]|1[0-2]|8A)", re.IGNORECASE)
OF_OLI = {
    "blue": "SR_B2", "green": "SR_B3", "red": "SR_B4", "nir08": "SR_B5", "swir16": "SR_B6", "swir22": "SR_B7",
}  # fmt: skip
"""Bands of Landsat 8 and 9 by their common names (`pipeline.sensors.landsat`)."""
OF_TM = {
    "blue": "SR_B1", "green": "SR_B2", "red": "SR_B3", "nir08": "SR_B4", "swir16": "SR_B5", "swir22": "SR_B7",
}  # fmt: skip
"""Bands of Landsat 4 to 7."""
FMASK_CLEAR = tuple(sorted(aerosol + water for aerosol in (0, 64, 128, 192) for water in (0, 32)))
"""Numbers of HLS's Fmask without its bits of cloud, of what is adjacent to cloud, of shadow and of snow
(HLS User Guide 2.0, table 9)."""
LANDSAT_SCALE = Scale(landsat.SCALE, landsat.OFFSET, "as Landsat Collection 2 Level 2 is stored")


@dataclass(frozen=True)
class Product:
    """One kind of product, with the word that `--sensor` has for it. `bands` are the common names of words,
    empty where words are names themselves."""

    key: str
    name: str
    bands: dict[str, str]
    scale: Scale | None = None
    profile: str = ""


LANDSAT_NEW = Product(
    "landsat-8-9", "Landsat 8 and 9, Collection 2 Level 2", OF_OLI, LANDSAT_SCALE, landsat.C2_L2.name
)
LANDSAT_OLD = Product(
    "landsat-4-7", "Landsat 4 to 7, Collection 2 Level 2", OF_TM, LANDSAT_SCALE, landsat.C2_L2.name
)
HLS_SCALE = Scale(0.0001, 0, "as HLS is stored")
HLS_S30 = Product("hls-s30", "HLS S30 (Sentinel-2)", {}, HLS_SCALE)
HLS_L30 = Product("hls-l30", "HLS L30 (Landsat)", {}, HLS_SCALE)
L2A = Product("sentinel-2-l2a", "Sentinel-2 Level-2A", {})
L1C = Product("sentinel-2-l1c", "Sentinel-2 Level-1C", {})
SENSORS = tuple(product.key for product in (L2A, L1C, LANDSAT_NEW, LANDSAT_OLD, HLS_S30, HLS_L30))


def of_name(name: str) -> Product | None:
    """Return the product that a file's path is of; None for all others."""
    if match := LANDSAT.search(name):
        return LANDSAT_NEW if match["number"] in "89" else LANDSAT_OLD
    if match := HLS.search(name):
        return HLS_S30 if match["kind"] == "S30" else HLS_L30
    if match := ESA.search(name):
        return L2A if match["level"] == "2A" else L1C
    return None


def is_of(name: str, sensor: str) -> bool:
    """Return whether a file's path is of a product, by its word in `SENSORS`."""
    product = of_name(name)
    return product is not None and product.key == sensor


def word_of(name: str) -> str:
    """Return what of a file's path tells its product, such as MSIL2A; empty for no product."""
    found = re.search(r"L[COTEM]0[4-9]_L2S[PR](?=_\d{6}_)|HLS\.[SL]30(?=\.T)|MSIL(?:1C|2A)(?=_)", name)
    return found[0] if found and of_name(name) else ""


def are_sentinel2(product: Product | None, words: Sequence[str], masks: Sequence[str]) -> bool:
    """Whether images seem to be Sentinel-2's own numbers, which may carry the offset of baseline 04.00."""
    if product is not None:
        return product in (L2A, L1C)
    has_scl = any(mask.upper() == "SCL" for mask in masks)
    return bool(words) and (has_scl or all(SENTINEL2_WORDS.fullmatch(word) for word in words))


def canonical(word: str) -> str:
    """Return Sentinel-2's own name of a band: B02 of b2 and of blue; other words stay."""
    match = re.fullmatch(r"B0?(\d)", word.upper())
    if match:
        return f"B0{match[1]}"
    by_key = {key: band for band, key in sentinel2.ASSETS.items()}
    return word.upper() if SENTINEL2_WORDS.fullmatch(word) else by_key.get(word.lower(), word)
