"""What a source of images must do. It lists scenes and reads bands of one scene onto a grid; filter,
selection, resampling rules and compositing are the pipeline's own and the same for all sources.

An open source reads in several threads at once; it keeps no open files between calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from minebench.errors import InputError, WorkError
from pipeline.core.config import Part
from pipeline.sensors import known
from pipeline.sensors.classes import ClearRule
from pipeline.sensors.profile import Profile, Sensor

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry

    from pipeline.published.formats.layout import Layout


@dataclass(frozen=True)
class Asset:
    """One band of a scene: where it is, its own grid if known, its band number in the file; for
    Earth Engine also its type and its grid's CRS in the service's words, and for S3 its bucket's region."""

    href: str
    grid: GeoBox | None = None
    index: int = 1
    nodata: float | None = None
    dtype: str = "uint16"
    crs_code: str = ""
    region: str = ""
    scale: tuple[float, float] | None = None
    """Number x the first + the second is reflectance, where that is to be applied."""


@dataclass(frozen=True)
class Scene:
    """One granule of one date. `cloud_cover` is the provider's, per cent; `offset` is taken from
    the digital numbers when they are read, and `offset_from` says why; where that `is_doubtful`, they are
    read as stored and pixels decide. `href` finds the scene again; it never holds a credential. `flaw` says
    why a scene cannot be used as listed. `dated_by` says where `time` comes from. Scenes of a lower `level`
    are taken only for a period in which none of a higher one is clear enough."""

    id: str
    time: datetime
    assets: Mapping[str, Asset] = field(repr=False)
    source: str
    level: str = ""
    cloud_cover: float | None = None
    baseline: str = ""
    offset: int = 0
    offset_from: str = ""
    is_doubtful: bool = False
    href: str = ""
    collection: str = ""
    flaw: str = ""
    dated_by: str = "acquisition"

    @property
    def tier(self) -> str:
        """The level without its product: Landsat's L2SP and L2SR are both L2, Sentinel-2's L1C is L1."""
        return self.level[:2]

    def solar_day(self, longitude: float) -> date:
        """The date where the sun stands: granules of one pass never fall on two days."""
        return (self.time + timedelta(hours=longitude / 15)).date()

    def with_offset(self, offset: int) -> Scene:
        """Return the scene with an offset that is to be taken from its numbers, beyond doubt."""
        return replace(self, offset=offset, is_doubtful=False)

    def grid_of(self, band: str) -> GeoBox:
        """Return the grid of a band's pixels. WorkError where it is not known."""
        grid = self.assets[band].grid
        if grid is None:
            raise WorkError(f"{self.id}: band {band} has no grid.")
        return grid

    @property
    def as_stored(self) -> Scene:
        """The scene with its numbers as the provider stored them."""
        return self.with_offset(0)


class Source(Protocol):
    """An open source."""

    mask_band: str | None
    """Band with the sensor's mask, as `Profile.mask` decodes it; None where every pixel with data is
    clear."""
    parallel: int
    """Requests that one site may have under way; 1 where nothing is waited for."""

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        """Scenes that touch `area` (EPSG:4326) from `start` to before `end`, by time, then id."""
        ...

    def find(self, href: str) -> Scene:
        """The scene that `search` once gave with this `href`. WorkError where it is gone."""
        ...

    def native(self, scene: Scene, band: str) -> GeoBox:
        """The grid that a band is stored on."""
        ...

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        """Bands on `grid` as (band, y, x), calibrated, nodata 0 and never mixed into valid pixels; pictures
        of 8 bits one higher (`pipeline.core.eight_bits`); the mask band as stored. Pixels that already lie on
        the grid are copied; others are resampled once, the mask band nearest and the rest bilinear.
        WorkError names a scene that cannot be read."""
        ...

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        """About how many requests `read` needs."""
        ...


@dataclass(frozen=True)
class Upstream:
    """Whose data something is. `licence` is an SPDX name, or words where there is none; `use` says what
    of it was used; `years` asks for the years of the scenes in the citation ({years}). What its terms
    keep to the user is not `may_be_passed_on`."""

    name: str
    use: str
    licence: str
    citation: str
    url: str = ""
    may_be_passed_on: bool = True


@dataclass(frozen=True)
class Setting:
    """What a source is opened with: where relative paths begin, where the benchmark keeps its data,
    what is read, and which pixels count as clear."""

    root: Path
    data: Path
    sensor: Sensor
    profile: Profile
    clear: ClearRule


class Options(Part):
    """A source's part of the recipe. The module `pipeline.sources.<name>` holds one subclass, `Options`;
    adding a source is adding that module."""

    name: str
    personal: ClassVar[frozenset[str]] = frozenset()
    """Options that say who asks and how fast, and nothing about the pixels."""
    is_service: ClassVar[bool] = False
    """Whether it is asked over the web, with limits and connections that all sites share."""
    is_synthetic: ClassVar[bool] = False
    is_published: ClassVar[bool] = False
    """Whether the pixels are files that somebody published, taken as they are."""

    @property
    def knows_pixel(self) -> bool:
        """Whether the size of a pixel on the ground is known."""
        return True

    @property
    def is_of_mines(self) -> bool:
        """Whether its images show mines."""
        return True

    @property
    def members(self) -> dict[str, Options]:
        """The sources that are asked one after another, by their labels in the table of scenes."""
        return {self.name: self}

    def profile(self, sensor: Sensor) -> Profile:
        """The sensor whose images the source has, where the recipe names none."""
        return known.unmasked(sensor)

    def check(self, sensor: Sensor, profile: Profile, clear: ClearRule) -> None:
        """ValueError where the source cannot give what the recipe asks for."""

    def open(self, setting: Setting) -> Source:
        """The source, ready to be searched. InputError where the options do not fit."""
        raise NotImplementedError

    def published(self, root: Path) -> Layout:
        """Return the files that somebody published, ready to be read; of `is_published` sources alone.
        InputError for any other, or where their folder is not there."""
        raise InputError(f"{self.name} is searched for images: no file of it is taken as it was published.")

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        """What of the source decides which pixels are read for a site, for fingerprints."""
        return [self.model_dump(mode="json", exclude=set(self.personal))]

    def announce(self, setting: Setting) -> None:
        """What a user must be told before anything is fetched."""

    def expected(self, first: date, last: date, profile: Profile) -> int:
        """About how many scenes of a place the source has from `first` to before `last`."""
        return 1

    def requests_a_second(self) -> float:
        """The most requests that the service takes."""
        return MOST_A_SECOND

    def allowance(self, requests: int) -> str:
        """What so many requests take of what the service grants, in words; empty where it counts nothing."""
        return ""

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        """Whose images these are; `years` are those of the scenes that were used."""
        raise NotImplementedError

    def licence(self) -> str:
        """Under which licence the images may be shared, as STAC names it."""
        return "other"

    def providers(self) -> list[dict[str, Any]]:
        """STAC providers, where the source asks to be named."""
        return []


MOST_A_SECOND = 100
"""Requests a second of Earth Engine's standard quota, taken for the others too."""


class Remote(Options):
    """What all sources on the web have."""

    is_service: ClassVar[bool] = True
    personal: ClassVar[frozenset[str]] = frozenset({"parallel"})
    parallel: int = Field(default=20, ge=1, le=100)
    """Requests to one host at a time."""
