"""A visit to a catalogue: what several checks need is queried once, through the pipeline's own source."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo import geom
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from minebench.errors import WorkError
from pipeline.core.limits import Sighting
from pipeline.doctor.known_catalogues import Catalogue
from pipeline.doctor.seen import NotChecked
from pipeline.sensors import classes
from pipeline.sources.protocol import Options, Scene, Setting, Source

T = TypeVar("T")
WINDOW_PX = 128
"""Side of the window that is read, in pixels of the first band."""
TRIED = 3
"""Most scenes that are read to find one with enough data."""
LEAST_DATA, LEAST_CLEAR = 0.5, 0.3
"""Least share of a window's pixels: with data, for a scene to be chosen; clear, for one to be compared."""
ANGLE = 0.002
"""Half the side of the searched area, degrees."""


@dataclass(frozen=True)
class Look:
    """A window of a scene: its grid, its mask as classes (y, x; None if the source has no mask), and which
    pixels are clear (y, x)."""

    scene: Scene
    grid: GeoBox
    classes: NDArray[np.uint8] | None
    clear: NDArray[np.bool_]

    @property
    def with_data(self) -> float:
        """Share of pixels with data according to the mask."""
        return 1.0 if self.classes is None else float((self.classes != classes.NODATA).mean())


@dataclass
class Visit:
    """A catalogue, its source, and what was read of them so far."""

    catalogue: Catalogue
    options: Options
    setting: Setting
    sightings: list[Sighting] = field(default_factory=list)
    _results: dict[str, Any] = field(default_factory=dict)
    _failures: dict[str, NotChecked] = field(default_factory=dict)

    def once(self, what: str, make: Callable[[], T]) -> T:
        """Return the result of the first call of `make`, kept under the name `what`.

        If that call failed it is not repeated: NotChecked says that `what` failed.
        """
        if what in self._failures:
            raise self._failures[what]
        if what not in self._results:
            try:
                self._results[what] = make()
            except NotChecked as why:
                self._failures[what] = why
                raise
            except Exception:
                self._failures[what] = NotChecked(f"{what} failed")
                raise
        return self._results[what]

    @property
    def bands(self) -> tuple[str, ...]:
        return self.setting.sensor.bands

    @property
    def source(self) -> Source:
        """The source, opened on first use, which signs in."""
        return self.once("opening the source", lambda: self.options.open(self.setting))

    def source_with(self, **changes: Any) -> Source:
        """Return the source opened with some options changed."""
        return self.options.model_copy(update=changes).open(self.setting)

    @cached_property
    def area(self) -> BaseGeometry:
        """A small square around the place (EPSG:4326)."""
        return area_of(self.catalogue.ask.place)

    @property
    def scenes(self) -> list[Scene]:
        """The scenes at the place and dates. NotChecked where there is none."""
        ask = self.catalogue.ask
        scenes = self.once("the search", lambda: self.source.search(self.area, ask.start, ask.end))
        if not scenes:
            raise NotChecked("the search found no scene")
        return scenes

    @property
    def scene(self) -> Scene:
        """The clearest scene that can be read; if none can, the clearest."""
        ordered = clearest(self.scenes)
        return next((scene for scene in ordered if not scene.flaw), ordered[0])

    @property
    def look(self) -> Look:
        """The window of the clearest scene with enough data there."""
        return self.once("the mask", lambda: self._first_with_data(self.scenes))

    def window(self, scene: Scene, place: tuple[float, float] | None = None) -> GeoBox:
        """Return a window around a place (longitude, latitude) on the grid of a scene's first band. WorkError
        where the band has no CRS or does not cover the place."""
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
            raise WorkError(f"{scene.id}: band {self.bands[0]} does not cover {lon}, {lat}.")
        return native[rows, columns]

    def look_at(self, scene: Scene, grid: GeoBox) -> Look:
        """Read the mask of a scene on a grid."""
        mask, band = self.setting.profile.mask, self.source.mask_band
        if mask is None or band is None:
            return Look(scene, grid, None, np.ones(grid.shape, bool))
        decoded = mask.decode(self.source.read(scene, [band], grid)[0])
        clear = np.isin(decoded, [*self.setting.clear.numbers, classes.CLEAR])
        return Look(scene, grid, decoded, clear)

    def clearest_looks(
        self, scenes: Sequence[Scene], grid: GeoBox | None = None, most: int = TRIED
    ) -> Iterator[Look]:
        """Yield a window of each of the `most` clearest scenes that can be read, on `grid` or on the
        scene's own grid. NotChecked says why there is none."""
        for scene in self._readable(scenes)[:most]:
            yield self.look_at(scene, grid or self.window(scene))

    def clearest_readable(self, scenes: Sequence[Scene]) -> Scene:
        """Return the clearest scene that can be read. NotChecked says why there is none."""
        return self._readable(scenes)[0]

    def _readable(self, scenes: Sequence[Scene]) -> list[Scene]:
        if not scenes:
            raise NotChecked("there is no scene")
        readable = [scene for scene in clearest(scenes) if not scene.flaw]
        if not readable:
            raise NotChecked(f"no scene can be read: {scenes[0].flaw}")
        return readable

    def _first_with_data(self, scenes: Sequence[Scene]) -> Look:
        """Return the first window with enough data, else the one with the most."""
        best: Look | None = None
        for look in self.clearest_looks(scenes):
            if best is None or look.with_data > best.with_data:
                best = look
            if look.with_data >= LEAST_DATA:
                break
        assert best is not None  # clearest_looks raises where there is none
        return best

    def answered(self, status: int) -> int:
        """Return how many answers had an HTTP status."""
        return Counter(sighting.status for sighting in self.sightings)[status]


def area_of(place: tuple[float, float], angle: float = ANGLE) -> BaseGeometry:
    """Return a square (EPSG:4326) around a place (longitude, latitude), `angle` degrees to each side."""
    lon, lat = place
    return shapely.box(lon - angle, lat - angle, lon + angle, lat + angle)


def clearest(scenes: Sequence[Scene]) -> list[Scene]:
    """Return scenes ordered by their provider's cloud cover, unknown last."""
    return sorted(scenes, key=lambda scene: (scene.cloud_cover is None, scene.cloud_cover or 0.0, scene.id))


def shares(mask: NDArray[np.uint8]) -> str:
    """Return the share of each class of a mask (y, x), in words."""
    names: Mapping[int, str] = {number: name for name, numbers in classes.NAMES.items() for number in numbers}
    counts = Counter(mask.ravel().tolist())
    return ", ".join(
        f"{names.get(number, f'class {number}')} {count / mask.size:.0%}"
        for number, count in counts.most_common()
    )
