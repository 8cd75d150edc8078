"""Sentinel-2 L2A from a STAC API, or from a static catalog such as the synthetic archive."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from models.errors import InputError, WorkError
from pipeline.recipe import Stac
from pipeline.sources import Asset, Scene, Source, raster, sentinel2


class StacSource:
    """See `pipeline.sources.Source`."""

    mask_band: str | None = "SCL"

    def __init__(self, options: Stac, label: str) -> None:
        self.options = options
        self.label = label
        self.keys = {**sentinel2.ASSETS, **options.assets, "SCL": options.mask}

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        items = _static(self.options.href) if _is_file(self.options.href) else self._api(area, start, end)
        scenes = [
            self._scene(item)
            for item in items
            if item.datetime is not None
            and start <= item.datetime.date() < end
            and (not self.options.collections or item.collection_id in self.options.collections)
            and item.geometry is not None
            and shapely.geometry.shape(item.geometry).intersects(area)
        ]
        return sorted(scenes, key=lambda scene: (scene.time, scene.id))

    def native(self, scene: Scene, band: str) -> GeoBox:
        asset = self._asset(scene, band)
        return asset.grid or raster_grid(asset.href)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if len(bands) == 1:
            return self._read(scene, bands[0], grid)[np.newaxis]
        return np.stack([self._read(scene, band, grid) for band in bands])

    def _read(self, scene: Scene, band: str, grid: GeoBox) -> NDArray[Any]:
        is_mask = band == self.mask_band
        asset = self._asset(scene, band)
        resampling = Resampling.nearest if is_mask else Resampling.bilinear
        pixels = raster.read(asset.href, asset.index, grid, resampling, 0)
        if scene.offset and not is_mask:
            valid = pixels > 0
            # Below the offset reflectance is negative: the smallest valid number, not nodata.
            np.maximum(pixels, pixels.dtype.type(scene.offset + 1), out=pixels)
            pixels -= pixels.dtype.type(scene.offset)
            pixels *= valid
        return pixels

    def _asset(self, scene: Scene, band: str) -> Asset:
        if band not in scene.assets:
            raise InputError(
                f"sensor.bands: scene {scene.id} has no band {band}; name its asset in source.assets."
            )
        return scene.assets[band]

    def _scene(self, item: pystac.Item) -> Scene:
        properties = item.properties
        # Planetary Computer names assets by band, Earth Search by colour.
        found = {band: item.assets.get(key) or item.assets.get(band) for band, key in self.keys.items()}
        return Scene(
            id=item.id,
            time=_time(item),
            assets={band: _described(item, asset) for band, asset in found.items() if asset},
            source=self.label,
            level="L1C" if "l1c" in (item.collection_id or "") else "L2A",
            cloud_cover=properties.get("eo:cloud_cover"),
            baseline=str(properties.get("s2:processing_baseline", "")),
            offset=sentinel2.offset(properties),
        )

    def _api(self, area: BaseGeometry, start: date, end: date) -> Iterator[pystac.Item]:
        from pystac_client import Client
        from pystac_client.exceptions import APIError

        try:
            client = Client.open(self.options.href)
            search = client.search(
                collections=list(self.options.collections) or None,
                intersects=area.__geo_interface__,
                datetime=f"{start}T00:00:00Z/{end}T00:00:00Z",
            )
            yield from search.items()
        except (APIError, OSError) as error:
            raise WorkError(f"{self.options.href} does not answer: {str(error)[:200].rstrip('.')}.") from None


def raster_grid(href: str) -> GeoBox:
    """The grid of a file that its item does not describe."""
    import rasterio

    with rasterio.open(href) as file:
        return raster.grid_of(file)


def _is_file(href: str) -> bool:
    return "://" not in href


@lru_cache(maxsize=4)
def _static(href: str) -> tuple[pystac.Item, ...]:
    """All items of a static catalog, read once in a process; stages are separate processes."""
    if not Path(href).is_file():
        raise WorkError(f"There is no catalog at {href}: run `minebench archive`, or mend source.href.")
    try:
        catalog = pystac.Catalog.from_file(href)
        return tuple(catalog.get_items(recursive=True))
    except Exception as error:
        raise WorkError(f"{href} cannot be read as a STAC catalog: {str(error)[:200].rstrip('.')}.") from None


def _time(item: pystac.Item) -> datetime:
    assert item.datetime is not None
    return item.datetime


def _described(item: pystac.Item, asset: pystac.Asset) -> Asset:
    """An asset with its grid by the projection extension, its own fields before the item's."""
    fields = {**item.properties, **asset.extra_fields}
    code = fields.get("proj:code") or (f"EPSG:{fields['proj:epsg']}" if fields.get("proj:epsg") else None)
    shape, transform = fields.get("proj:shape"), fields.get("proj:transform")
    grid = GeoBox(tuple(shape), Affine(*transform[:6]), code) if code and shape and transform else None
    return Asset(asset.get_absolute_href() or asset.href, grid)


_conforms: type[Source] = StacSource
