"""Google's annual Satellite Embedding through Earth Engine: a year's images are mosaicked, none is cloudy.

The collection holds 64 floating-point numbers a pixel. They are asked for as the single bytes that
`pipeline.core.embedding` keeps, a quarter of it or less, with nodata told apart from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ee
import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from pipeline.core import embedding, signed
from pipeline.geo import geodesy, window
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
        return window.placed(signed.raised(numbers) * has_data, area, grid, Resampling.nearest)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        return pixels.requests(grid, len(bands))

    def _of_own_zone(self, scenes: list[Scene], area: BaseGeometry) -> list[Scene]:
        """The images in the UTM zone that a site of this area lies in, where they cover it: their pixels are
        the site's own. Near a zone's border the neighbour's are there as well."""
        zone = geodesy.utm_epsg(*geodesy.centre(area))
        grids = [(scene, self.native(scene, self.sensor.bands[0])) for scene in scenes]
        own = [(scene, grid) for scene, grid in grids if grid.crs == f"EPSG:{zone}"]
        outlines = [grid.extent.to_crs("EPSG:4326").geom for _, grid in own]
        return [scene for scene, _ in own] if shapely.union_all(outlines).covers(area) else scenes


def coded(href: str, bands: Sequence[str]) -> Any:
    """The graph of an image's numbers as `pipeline.core.embedding.coded` has them."""
    image = ee.Image(href).select(list(bands))
    numbers = image.abs().sqrt().multiply(image.signum()).multiply(embedding.SPAN).round()
    return numbers.clamp(-127, 127).unmask(-signed.ZERO, False).toInt8()


def _in_mid_year(scene: Scene) -> Scene:
    """Dated so that no time zone moves it into another year."""
    return replace(scene, time=datetime(scene.time.year, 7, 2, 12, tzinfo=UTC), dated_by="middle of the year")


_conforms: type[Source] = EmbeddingSource
