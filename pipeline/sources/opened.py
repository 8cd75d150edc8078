"""A recipe's sources, ready to be searched and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import InputError
from pipeline.sources.protocol import Scene, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry


class Opened:
    """The open sources of a recipe, by the labels that they have in the table of scenes.

    `Scene.source` is the label of the source that listed a scene; its pixels are read from there.
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
        """The sources' labels, in the order in which they are asked."""
        return list(self.sources)

    @property
    def parallel(self) -> int:
        """Requests that one site may have under way."""
        return max(source.parallel for source in self.sources.values())

    def listed(self, label: str, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        """Return what one source lists; see `Source.search`."""
        scenes = self.sources[label].search(area, start, end)
        return [scene if scene.source == label else replace(scene, source=label) for scene in scenes]

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        """Return what the first source lists that lists anything."""
        found = (self.listed(label, area, start, end) for label in self.sources)
        return next(filter(None, found), [])

    def find(self, label: str, href: str) -> Scene:
        """Return the scene that a source once listed with this `href`; see `Source.find`."""
        return replace(self._of(label).find(href), source=label)

    def native(self, scene: Scene, band: str) -> GeoBox:
        """See `Source.native`."""
        return self._of(scene.source).native(scene, band)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        """See `Source.read`."""
        return self._of(scene.source).read(scene, bands, grid)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        """About how many requests a read from the first source needs."""
        return next(iter(self.sources.values())).requests(bands, grid)

    def _of(self, label: str) -> Source:
        return self.sources.get(label) or next(iter(self.sources.values()))
