"""One visit to a catalogue: what several checks look at, asked for once, through the product's own source."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo import geom
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from pipeline.core.errors import WorkError
from pipeline.core.traffic import Sighting
from pipeline.doctor.known_catalogues import Catalogue
from pipeline.doctor.seen import NotChecked
from pipeline.sensors import classes
from pipeline.sources.protocol import Options, Scene, Setting, Source

T = TypeVar("T")
WINDOW_PX = 128
"""Side of the window that is read, pixels of the first band."""
TRIED = 3
"""Scenes that are looked at for one with enough data."""
LEAST_DATA, LEAST_CLEAR = 0.5, 0.3
"""Share of a window's pixels with data, for a scene to be taken; with clear ground, to be compared."""
ANGLE = 0.002
"""Half the side of the area that is searched, degrees."""


@dataclass(frozen=True)
class Look:
    """A scene's window: its grid, its mask as classes (y, x; None where there is no mask), and which pixels
    are clear (y, x)."""

    scene: Scene
    grid: GeoBox
    classes: NDArray[np.uint8] | None
    clear: NDArray[np.bool_]

    @property
    def with_data(self) -> float:
        """Share of pixels with data, by the mask."""
        return 1.0 if self.classes is None else float((self.classes != classes.NODATA).mean())


@dataclass
class Visit:
    """A catalogue, an open source, and what was seen of them so far."""

    catalogue: Catalogue
    options: Options
    setting: Setting
    sightings: list[Sighting] = field(default_factory=list)
    _made: dict[str, Any] = field(default_factory=dict)
    _failed: dict[str, NotChecked] = field(default_factory=dict)

    def once(self, what: str, make: Callable[[], T]) -> T:
        """Return what `make` gave the first time. Where it failed then, that is not tried again."""
        if what in self._failed:
            raise self._failed[what]
        if what not in self._made:
            try:
                self._made[what] = make()
            except NotChecked as why:
                self._failed[what] = why
                raise
            except Exception:
                self._failed[what] = NotChecked(f"{what} failed")
                raise
        return self._made[what]

    @property
    def bands(self) -> tuple[str, ...]:
        return self.setting.sensor.bands

    @property
    def source(self) -> Source:
        """The open source; to open it is to sign in."""
        return self.once("opening the source", lambda: self.options.open(self.setting))

    def opened(self, **changes: Any) -> Source:
        """Return the source with other options."""
        return self.options.model_copy(update=changes).open(self.setting)

    @cached_property
    def area(self) -> BaseGeometry:
        """A small area around the place (EPSG:4326)."""
        return area_of(self.catalogue.ask.place)

    @property
    def scenes(self) -> list[Scene]:
        """The scenes of the place and dates."""
        ask = self.catalogue.ask
        found = self.once("the search", lambda: self.source.search(self.area, ask.start, ask.end))
        if not found:
            raise NotChecked("the search found no scene")
        return found

    @property
    def scene(self) -> Scene:
        """The clearest scene that can be read, or else the clearest."""
        ordered = clearest(self.scenes)
        return next((scene for scene in ordered if not scene.flaw), ordered[0])

    @property
    def look(self) -> Look:
        """The clearest scene's window, of the first scenes one with data."""
        return self.once("the mask", lambda: self._first(self.scenes, LEAST_DATA))

    def window(self, scene: Scene, place: tuple[float, float] | None = None) -> GeoBox:
        """Return a window around a place on the grid of a scene's first band."""
        native = self.source.native(scene, self.bands[0])
        if native.crs is None:
            raise WorkError(f"{scene.id}: band {self.bands[0]} has no CRS.")
        lon, lat = place or self.catalogue.ask.place
        x, y = native.wld2pix(*geom.point(lon, lat, "EPSG:4326").to_crs(native.crs).coords[0])
        half = WINDOW_PX // 2
        rows, columns = (
            slice(max(0, int(middle) - half), min(size, int(middle) + half))
            for middle, size in ((y, native.height), (x, native.width))
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise WorkError(f"{scene.id}: the grid of {self.bands[0]} does not have the place.")
        return native[rows, columns]

    def looked(self, scene: Scene, grid: GeoBox) -> Look:
        """Return a scene's window, its mask read."""
        mask, band = self.setting.profile.mask, self.source.mask_band
        if mask is None or band is None:
            return Look(scene, grid, None, np.ones(grid.shape, bool))
        found = mask.decode(self.source.read(scene, [band], grid)[0])
        clear = np.isin(found, [*self.setting.clear.numbers, classes.CLEAR])
        return Look(scene, grid, found, clear)

    def looks(self, scenes: Sequence[Scene], grid: GeoBox | None = None, most: int = TRIED) -> Iterator[Look]:
        """Look at the clearest scenes that can be read, `most` of them, on `grid` or each on its own."""
        self.clearest_readable(scenes)
        for scene in [scene for scene in clearest(scenes) if not scene.flaw][:most]:
            yield self.looked(scene, grid or self.window(scene))

    def clearest_readable(self, scenes: Sequence[Scene]) -> Scene:
        """Return the clearest scene that can be read. NotChecked says why there is none."""
        if not scenes:
            raise NotChecked("there is no scene")
        usable = [scene for scene in clearest(scenes) if not scene.flaw]
        if not usable:
            raise NotChecked(f"no scene can be read: {scenes[0].flaw}")
        return usable[0]

    def _first(self, scenes: Sequence[Scene], least: float) -> Look:
        """The first window with enough data, else the one with most."""
        best: Look | None = None
        for look in self.looks(scenes):
            if best is None or look.with_data > best.with_data:
                best = look
            if look.with_data >= least:
                break
        assert best is not None  # looks raises where there is none
        return best

    def answered(self, status: int) -> int:
        """Return how many answers had a status."""
        return Counter(sighting.status for sighting in self.sightings)[status]


def area_of(place: tuple[float, float], angle: float = ANGLE) -> BaseGeometry:
    """Return a square around a place, `angle` degrees to each side."""
    lon, lat = place
    return shapely.box(lon - angle, lat - angle, lon + angle, lat + angle)


def clearest(scenes: Sequence[Scene]) -> list[Scene]:
    """Return scenes by their provider's cloud cover, unknown last."""
    return sorted(scenes, key=lambda scene: (scene.cloud_cover is None, scene.cloud_cover or 0.0, scene.id))


def of_place(catalogue: Catalogue, place: tuple[float, float], start: date, end: date) -> Catalogue:
    """Return the catalogue asked at another place and time."""
    return replace(catalogue, ask=replace(catalogue.ask, place=place, start=start, end=end))


def shares(found: NDArray[np.uint8]) -> str:
    """Return the share of each class, in words."""
    names: Mapping[int, str] = {number: name for name, own in classes.NAMES.items() for number in own}
    counts = Counter(found.ravel().tolist())
    return ", ".join(
        f"{names.get(number, f'class {number}')} {count / found.size:.0%}"
        for number, count in counts.most_common()
    )
