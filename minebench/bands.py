"""Colours and wavelengths of band names such as B04, SR_B4, Red or nir08.

Case and separators are ignored. Colour names mean the same on every sensor. Numbers do not: B4 is red on
Sentinel-2 and Landsat 8 and 9, and near infrared on Landsat 4 to 7. If the sensor is known, it decides. If
not, a number has the colour on which all sensors with such bands agree; any other number is unknown, or a
guess that is reported as one.

Sources of the numbers: ESA, Sentinel-2 MSI, spectral bands; USGS, "What are the band designations for the
Landsat satellites?".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

NANOMETRES = {
    "coastal": 443, "blue": 490, "green": 560, "yellow": 605, "pan": 590, "red": 660, "rededge1": 704,
    "rededge2": 740, "rededge3": 783, "nir": 835, "nir08": 865, "nir09": 945, "cirrus": 1374, "swir1": 1610,
    "swir2": 2200, "thermal": 10900,
}  # fmt: skip
"""Central wavelength of each colour, in nanometres."""
WORDS = {
    "coastal": ("coastal", "coastalaerosol", "coastalblue", "aerosol", "ultrablue", "cb"),
    "blue": ("blue", "b"),
    "green": ("green", "g"),
    "yellow": ("yellow",),
    "pan": ("pan", "panchromatic"),
    "red": ("red", "r"),
    "rededge1": ("rededge", "rededge1", "re", "re1", "vre1", "rededge071"),
    "rededge2": ("rededge2", "re2", "vre2", "rededge075"),
    "rededge3": ("rededge3", "re3", "vre3", "rededge078"),
    "nir": ("nir", "n", "nir1", "nearinfrared"),
    "nir08": ("nir08", "nira", "nirnarrow", "narrownir", "nnir", "nir2"),
    "nir09": ("nir09", "watervapor", "watervapour"),
    "cirrus": ("cirrus",),
    "swir1": ("swir", "swir1", "swir16"),
    "swir2": ("swir2", "swir22"),
    "thermal": ("thermal", "tir", "tirs", "tirs1", "lwir", "lwir11"),
}
"""Names of each colour, in lower case without separators."""
COLOURS = {word: colour for colour, words in WORDS.items() for word in words}
SENTINEL_2 = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "rededge1", "6": "rededge2", "7": "rededge3",
    "8": "nir", "8a": "nir08", "9": "nir09", "10": "cirrus", "11": "swir1", "12": "swir2",
}  # fmt: skip
LANDSAT_8_9 = {
    "1": "coastal", "2": "blue", "3": "green", "4": "red", "5": "nir08", "6": "swir1", "7": "swir2",
    "8": "pan", "9": "cirrus", "10": "thermal", "11": "thermal",
}  # fmt: skip
LANDSAT_4_7 = {
    "1": "blue", "2": "green", "3": "red", "4": "nir", "5": "swir1", "6": "thermal", "7": "swir2", "8": "pan",
}  # fmt: skip
SENSORS = {"Sentinel-2": SENTINEL_2, "Landsat 8 and 9": LANDSAT_8_9, "Landsat 4 to 7": LANDSAT_4_7}
"""Colour of each numbered band, by sensor."""
NUMBERED = re.compile(r"(sr|st|toa)?(?:b|band)(0?)([1-9]\d?a?)")


@dataclass(frozen=True)
class Meaning:
    """The colours of a list of bands.

    Attributes
    ----------
    colours
        Colour of each band, None if its name is unknown.
    guess
        What was assumed, in words; empty if nothing was.
    """

    colours: tuple[str | None, ...]
    guess: str = ""


def meaning(names: Sequence[str], sensor: str = "") -> Meaning:
    """Return the colours of an image's bands.

    Parameters
    ----------
    names
        Names of the bands.
    sensor
        Name of the sensor; one that begins with sentinel-2 or landsat decides what numbers mean.
    """
    words = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    matches = {i: match for i, word in enumerate(words) if (match := NUMBERED.fullmatch(word))}
    by_number, guess = _numbered([match.groups() for match in matches.values()], sensor.lower())
    numbered = dict(zip(matches, by_number, strict=True))
    colours = tuple(numbered[i] if i in numbered else COLOURS.get(word) for i, word in enumerate(words))
    guessed = [names[i] for i in numbered] if guess else []
    return Meaning(colours, f"{', '.join(guessed)} read as {guess}" if guess else "")


def nanometres(colour: str) -> int:
    """Return the central wavelength of a colour in nanometres."""
    return NANOMETRES[colour]


def _numbered(bands: Sequence[tuple[str, ...]], sensor: str) -> tuple[list[str | None], str]:
    """Return the colours of numbered bands (prefix, zero, number), and the guessed sensor or ""."""
    numbers = [number for _, _, number in bands]
    sensors = [name for name in _candidates(bands, sensor) if set(numbers) <= set(SENSORS[name])]
    if ("sr", "", "6") in bands:  # band 6 of Landsat 4 to 7 is thermal, and is ST_B6
        sensors = [name for name in sensors if name != "Landsat 4 to 7"]
    if not sensors:
        return [None] * len(numbers), ""
    choices = [{SENSORS[name][number] for name in sensors} for number in numbers]
    if all(len(colours) == 1 for colours in choices):
        return [colours.pop() for colours in choices], ""
    is_count = len(numbers) > 1 and numbers == [str(i) for i in range(1, len(numbers) + 1)]
    if "Sentinel-2" not in sensors or is_count or set(numbers) & {"5", "6", "7"}:
        return [colours.pop() if len(colours) == 1 else None for colours in choices], ""
    return [SENTINEL_2[number] for number in numbers], "Sentinel-2's, which is a guess"


def _candidates(bands: Sequence[tuple[str, ...]], sensor: str) -> list[str]:
    """Return the sensors that may have these bands: by the sensor's name, else by how bands are spelt."""
    landsat = [name for name in SENSORS if name.startswith("Landsat")]
    if sensor.startswith("sentinel-2") or (
        not sensor.startswith("landsat") and any(zero for _, zero, _ in bands)
    ):
        return ["Sentinel-2"]
    if sensor.startswith("landsat"):
        return landsat
    return landsat if any(prefix in {"sr", "st"} for prefix, _, _ in bands) else list(SENSORS)
