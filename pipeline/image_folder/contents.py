"""What a folder of images, or cubes, hold: enough for the lines of a recipe, and for a table of it."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath

from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from minebench.text import counted, few
from pipeline.image_folder import band_names, file_names
from pipeline.image_folder.mask_guess import Mask
from pipeline.image_folder.number_guess import Scale
from pipeline.image_folder.seasons import Years

LIFTED_SINCE = date(2022, 1, 25)
"""Since when Sentinel-2's products carry the offset of processing baseline 04.00."""


Accept = Callable[["Images"], None]
"""Is told what was understood of images, and raises where that is not to be used."""


@dataclass(frozen=True)
class Images:
    """What a recipe says of a folder, or of cubes. `bands` are band names to numbers in the file, to words in
    its name or to layers of a cube; `resolution` is in metres; `outlines` are where images lie (EPSG:4326).

    `unsure` are sentences on what is guessed, and decides what the benchmark shows: a user is asked about
    them. `left_out` are files that are no images."""

    path: Path
    pattern: str
    layout: str
    dates: list[date]
    years: Years
    bands: dict[str, int | str]
    about_bands: str
    rgb: tuple[str, str, str]
    dtype: str
    resolution: float
    scale: Scale | None
    mask: Mask | None
    crs: list[str]
    outlines: Sequence[BaseGeometry] = field(repr=False)
    left_out: list[str] = field(default_factory=list)
    nodata: int | None = None
    profile: str = ""
    offset: str = ""
    """Why Sentinel-2's offset is asked for; empty where it is not."""
    unsure: list[str] = field(default_factory=list)
    has_days: bool = True
    """Whether names tell days, and not years alone."""
    sensor: str | None = None
    """The one that was asked for, of a folder with images of several."""

    @property
    def is_by_band(self) -> bool:
        """Whether each band is a file of its own."""
        return bool(self.pattern) and any(isinstance(value, str) for value in self.bands.values())

    @property
    def is_guess(self) -> bool:
        """Whether nothing but their number tells which band is which."""
        return "guess" in self.about_bands

    @property
    def has_guess(self) -> bool:
        """Whether the recipe holds a guess about the bands, their numbers or their mask."""
        guesses = (self.scale, self.mask)
        return self.is_guess or any(one is not None and "guess" in one.about for one in guesses)

    def table(self) -> list[tuple[str, str]]:
        """What was understood, a line each: what of, and what."""
        first, last = min(self.dates), max(self.dates)
        by_year = Counter(day.year for day in self.dates)
        years = ", ".join(f"{year}: {count}" for year, count in sorted(by_year.items()))
        said = "; ".join(
            filter(None, [self.dtype_words, self.scale.words if self.scale else "", self.offset])
        )
        return [
            ("layout", self.layout),
            ("dates", f"{counted(len(self.dates), 'date')} from {first} to {last} ({years})"
                if self.has_days else f"years alone: {', '.join(sorted(map(str, by_year)))}"),
            ("bands", ", ".join(f"{n} ({v})" for n, v in self.bands.items()) + _after(self.about_bands)),
            ("mask", self._mask_words()),
            ("grid", f"{', '.join(self.crs)}, pixels of {self.resolution:g} m"),
            ("numbers", said),
            ("years", self.years.about),
            ("left out", self.why_left_out()),
        ]  # fmt: skip

    def _mask_words(self) -> str:
        """Which mask is used, and what its numbers are."""
        if self.mask is None:
            return "none: pixels with data are clear"
        return f"{self.mask.name or self.mask.word}: {self.mask.about}"

    def why_left_out(self) -> str:
        """How many files are no images, and why."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for name in self.left_out:
            by_reason[file_names.why_left_out(name, self.sensor)].append(PurePosixPath(name).name)
        told = [f"{len(own)} {reason} ({few(own, 1)})" for reason, own in by_reason.items()]
        return "; ".join(told) or "nothing"

    @property
    def dtype_words(self) -> str:
        """The type of the cube, and what has no data."""
        return self.dtype if self.nodata is None else f"{self.dtype}, {self.nodata} is no data"


def _after(about: str) -> str:
    return f": {about}" if about else ""


def unsure(found: Images) -> list[str]:
    """What a user is asked about."""
    doubts = []
    if found.about_bands.endswith(band_names.NIR_GUESSED):
        doubts.append(f"nothing names band {found.bands['NIR']}; it is taken as NIR")
    elif found.is_guess and len(found.bands) > 1 and not (found.dtype == "uint8" and len(found.bands) == 3):
        order = ", ".join(found.bands)
        doubts.append(f"nothing names the bands; they are taken as {order}, in this order")
    # Of bands with names reflectance is what numbers of such a size can be.
    if found.scale and "guess" in found.scale.about and found.is_guess:
        doubts.append(
            f"nothing tells the scale of the numbers; {found.scale.about.removeprefix('a guess: ')}"
        )
    if found.mask and "guess" in found.mask.about:
        doubts.append(
            f"mask {found.mask.name or found.mask.word}: {found.mask.about.removeprefix('a guess: ')}"
        )
    masks = [name for name in found.left_out if file_names.seems_mask(name)]
    if masks and not found.mask:
        doubts.append(
            f"{few(masks, 1)} seems to be a mask and is not used, as nothing tells what its numbers mean; "
            "without one all pixels with data are clear (source.mask)"
        )
    return doubts


def rounded(pixel: float) -> float:
    """Two significant digits: 5.0, 1.2, 87."""
    digits = 1 - math.floor(math.log10(pixel))
    return round(pixel, digits)


def crs_name(wkt: str) -> str:
    """A CRS by its code, else by its name."""
    crs = CRS.from_user_input(wkt)
    code = crs.to_epsg(min_confidence=25)
    return f"EPSG:{code}" if code else str(crs.name)
