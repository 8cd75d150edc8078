"""The sources of a recipe, open for searching and reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from minebench.errors import InputError, WorkError
from pipeline.sources.protocol import Scene, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry


class Opened:
    """The open sources of a recipe, by their labels in the table of scenes.

    `Scene.source` is the label of the source that listed a scene, and its pixels are read from that source.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = dict(sources)
        masks = {source.mask_band for source in self.sources.values()}
        if len(masks) > 1:
            raise InputError(
                "source: some sources of the list have a mask of clouds and others have none; "
                "the sources of a list must have the same mask."
            )
        self.mask_band = masks.pop()

    @property
    def labels(self) -> list[str]:
        """The labels of the sources, in the order in which they are searched."""
        return list(self.sources)

    @property
    def parallel(self) -> int:
        """Most parallel requests per site."""
        return max(source.parallel for source in self.sources.values())

    def listed(self, label: str, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        """Return the scenes that one source lists, with its label; see `Source.search`."""
        scenes = self.sources[label].search(area, start, end)
        return [scene if scene.source == label else replace(scene, source=label) for scene in scenes]

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        """Return the scenes of the first source that lists any."""
        searches = (self.listed(label, area, start, end) for label in self.sources)
        return next(filter(None, searches), [])

    def find(self, label: str, href: str) -> Scene:
        """Return the scene that a source listed earlier under this `href`; see `Source.find`."""
        return replace(self._source_of(label).find(href), source=label)

    def native(self, scene: Scene, band: str) -> GeoBox:
        """See `Source.native`."""
        return self._source_of(scene.source).native(scene, band)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        """See `Source.read`."""
        return self._source_of(scene.source).read(scene, bands, grid)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        """Return about how many requests one read from the first source needs."""
        return next(iter(self.sources.values())).requests(bands, grid)

    def _source_of(self, label: str) -> Source:
        """Return the source with a label. A single source has all scenes, whatever an older table calls it;
        WorkError if a list of several has none of that label."""
        if len(self.sources) == 1:
            return next(iter(self.sources.values()))
        if label not in self.sources:
            raise WorkError(
                f"The table of scenes names source {label}, and the recipe has {', '.join(self.sources)}: "
                "run `minebench fetch --refresh`."
            )
        return self.sources[label]
