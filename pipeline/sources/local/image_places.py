"""The scenes of a folder by name and by place."""

import threading
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations

import shapely
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError
from minebench.progress import progress
from pipeline.geo import raster
from pipeline.sources.local.dated_files import Listed

SAME_GROUND = 0.5
"""Share of the smaller of two files that the other covers too, above which they are no neighbours."""


@dataclass(frozen=True)
class Places:
    """Where the first file of each scene lies (EPSG:4326), and which of them have a single band."""

    outlines: list[BaseGeometry] = field(default_factory=list)
    single: list[bool] = field(default_factory=list)


class Images:
    """The scenes of a folder by name and by place. Where they lie is read of each once, at the first
    question: a list of thousands of sites asks thousands of times. InputError where two of them would be
    one scene."""

    def __init__(self, files: list[Listed]) -> None:
        self.files = files
        scenes: dict[str, Listed] = {}
        for file in files:
            if (other := scenes.setdefault(file.scene_id, file)) is not file:
                if other.name == file.name:
                    raise InputError(f"source.dates lists {file.name} twice: leave one line.")
                raise InputError(f"{other.path} and {file.path} differ by their suffix alone: rename one.")
        self.by_name = {file.name: file for file in files}
        self.lock = threading.Lock()
        self.places = Places()
        self.tree: shapely.STRtree | None = None

    def near(self, area: BaseGeometry, start: date, end: date) -> list[Listed]:
        """Those from `start` to before `end` that touch an area (EPSG:4326), in the folder's order.
        InputError where files of one date are bands, and nothing says of which."""
        with self.lock:
            if self.tree is None:
                with progress("looking through images", len(self.files), "files") as advance:
                    for file in self.files:
                        self._look_at(file)
                        advance()
                self.tree = shapely.STRtree(self.places.outlines)
        touching = sorted(self.tree.query(area, predicate="intersects"))
        found = [place for place in touching if start <= self.files[place].day < end]
        self._check_apart([place for place in found if self.places.single[place]])
        return [self.files[place] for place in found]

    def _look_at(self, scene: Listed) -> None:
        with raster.opened(str(scene.path)) as file:
            if file.crs is None:
                raise InputError(f"{scene.path} has no CRS: assign one, for example with gdal_edit.")
            self.places.outlines.append(shapely.box(*transform_bounds(file.crs, 4326, *file.bounds)))
            self.places.single.append(file.count == 1 and scene.is_whole)

    def _check_apart(self, places: list[int]) -> None:
        """InputError where files of one band and one date cover the same ground."""
        for a, b in combinations(places, 2):
            if self.files[a].day == self.files[b].day and cover_each_other(
                self.places.outlines[a], self.places.outlines[b]
            ):
                raise InputError(
                    f"source: several files of one date cover the same ground: {self.files[a].name} and "
                    f"{self.files[b].name}. If they are bands of one image, source.pattern needs a group "
                    "(?P<band>[A-Za-z0-9]+), and source.bands the word of each band; else leave out all but "
                    "one."
                )


def cover_each_other(one: BaseGeometry, other: BaseGeometry) -> bool:
    """Whether two outlines are of the same ground, and not of neighbours that overlap a little."""
    return bool(one.intersection(other).area > SAME_GROUND * min(one.area, other.area))
