"""Where images come from. A source lists scenes and reads bands of one scene onto a grid; filter,
selection, resampling rules and compositing are the pipeline's own and the same for all sources.

An open source reads in several threads at once; it keeps no open files between calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.core.errors import InputError
from pipeline.core.layout import Benchmark
from pipeline.recipe import EarthEngine, Import, Local, Recipe, Stac, Synthetic, Xyz


@dataclass(frozen=True)
class Asset:
    """One band of a scene: where it is, its own grid if known, its band number in the file; for
    Earth Engine also its type and its grid's CRS in the service's words."""

    href: str
    grid: GeoBox | None = None
    index: int = 1
    nodata: float | None = None
    dtype: str = "uint16"
    crs_code: str = ""


@dataclass(frozen=True)
class Scene:
    """One granule of one date. `cloud_cover` is the provider's, per cent; `offset` is taken from
    the digital numbers when they are read. `href` finds the scene again; it never holds a
    credential. `flaw` says why a scene cannot be used as listed. `dated_by` says where `time` comes
    from."""

    id: str
    time: datetime
    assets: Mapping[str, Asset] = field(repr=False)
    source: str
    level: str = ""
    cloud_cover: float | None = None
    baseline: str = ""
    offset: int = 0
    href: str = ""
    collection: str = ""
    flaw: str = ""
    dated_by: str = "acquisition"

    def solar_day(self, longitude: float) -> date:
        """The date where the sun stands: granules of one pass never fall on two days."""
        return (self.time + timedelta(hours=longitude / 15)).date()


class Source(Protocol):
    """What a provider must do."""

    mask_band: str | None
    """Band with Sentinel-2 scene classes (SCL); None where every pixel with data is clear."""
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
        """Bands on `grid` as (band, y, x), offset removed, nodata 0 and never mixed into valid
        pixels. Pixels that already lie on the grid are copied; others are resampled once, the
        mask band nearest and the rest bilinear. WorkError names a scene that cannot be read."""
        ...

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        """About how many requests `read` needs."""
        ...


def open(benchmark: Benchmark, recipe: Recipe) -> Source:
    """The recipe's source."""
    from pipeline.sources.earthengine.images import EarthEngineSource
    from pipeline.sources.local import LocalSource
    from pipeline.sources.stac.items import StacSource
    from pipeline.sources.xyz import XyzSource

    match recipe.source:
        case Synthetic() if recipe.sensor.dtype == "uint8":
            bands = {band: number for number, band in enumerate(recipe.sensor.bands, 1)}
            listed = benchmark.archive / "dates.csv"
            return LocalSource(Local(name="local", path=benchmark.archive, dates=listed, bands=bands), Path())
        case Synthetic():
            return StacSource(Stac(name="stac", href=str(benchmark.archive / "catalog.json")), "synthetic")
        case Stac():
            return StacSource(recipe.source, "stac")
        case EarthEngine():
            return EarthEngineSource(recipe.source, recipe)
        case Xyz():
            return XyzSource(recipe.source, recipe, benchmark.data / "tiles")
        case Local():
            return LocalSource(recipe.source, benchmark.root)
        case Import():
            raise InputError("An imported benchmark has no source to search: its files are all there is.")
