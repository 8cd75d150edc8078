"""Google's annual Satellite Embedding through Earth Engine: a year's images are mosaicked, none is cloudy.

The collection holds 64 floating-point numbers a pixel. They are asked for as the single bytes that
`minebench.cube.encoding` keeps, a quarter of it or less, with nodata told apart from 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ee
import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench.cube import encoding
from pipeline.geo import window, zones
from pipeline.sensors import alphaearth
from pipeline.sources.earthengine import pixels
from pipeline.sources.earthengine.images import EarthEngineSource
from pipeline.sources.protocol import Scene, Source


class EmbeddingSource(EarthEngineSource):
    """See `pipeline.sources.protocol.Source`. Pixels are copied, never interpolated: between the numbers of
    two vectors lies no vector's."""

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        first, last = start.year, (end - timedelta(days=1)).year
        # A year's image ends as the next begins: a day more lists it, whichever end is compared.
        listed = self._in(self.options.collection, area, date(first, 1, 1), date(last + 1, 1, 2))
        found = [scene for scene in listed if first <= scene.time.year <= last]
        return [_in_mid_year(scene) for scene in self._of_own_zone(found, area)]

    def find(self, href: str) -> Scene:
        return _in_mid_year(super().find(href))

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[np.uint8]:
        area = window.covering(self.native(scene, bands[0]), grid)
        if area is None:
            return np.zeros((len(bands), *grid.shape), np.uint8)
        numbers = pixels.compute(coded(scene.href, bands), area, bands, len(bands), scene.id)
        # No vector is 0 throughout: so come the pixels of which Earth Engine has nothing to say.
        has_data = (numbers != 0).any(axis=0)
        return window.placed(encoding.raised(numbers) * has_data, area, grid, Resampling.nearest)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        return pixels.requests(grid, len(bands))

    def _of_own_zone(self, scenes: list[Scene], area: BaseGeometry) -> list[Scene]:
        own = zones.of_own_zone([self.native(scene, self.sensor.bands[0]) for scene in scenes], area)
        return list(itertools.compress(scenes, own))


def coded(href: str, bands: Sequence[str]) -> Any:
    """The graph of an image's numbers as `minebench.cube.encoding.coded` has them."""
    image = ee.Image(href).select(list(bands))
    numbers = image.abs().sqrt().multiply(image.signum()).multiply(encoding.SPAN).round()
    return numbers.clamp(-127, 127).unmask(-encoding.ZERO, False).toInt8()


def _in_mid_year(scene: Scene) -> Scene:
    return replace(scene, time=alphaearth.middle_of(scene.time.year), dated_by=alphaearth.DATED_BY)


_conforms: type[Source] = EmbeddingSource
