"""Scenes of cubes on the disk: one for each time of each cube (`pipeline.sources.local.image_cubes`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench import cores
from minebench.errors import InputError, WorkError
from pipeline.core import eight_bits
from pipeline.sensors.boa_offset import without_offset
from pipeline.sources.local import cloud_model, image_cubes, own_numbers, product_baselines
from pipeline.sources.local.image_cubes import Cube
from pipeline.sources.protocol import Asset, Scene, Setting, Source

if TYPE_CHECKING:
    from pipeline.sources.local import Options

SEPARATOR = "#"
"""Separates a cube's name from a time in the address of a scene."""


class CubeSource:
    """See `pipeline.sources.protocol.Source`. Without a mask, pixels with data are clear."""

    parallel = cores.count()

    def __init__(self, options: Options, setting: Setting) -> None:
        self.options, self.profile = options, setting.profile
        self.mask = setting.profile.mask if options.is_masked else None
        self.mask_band: str | None = self.mask.name if self.mask else None
        self.held, self.is_picture = setting.sensor.encoding.held, setting.sensor.encoding.is_picture
        own_numbers.check_bands(setting.sensor, options.bands)
        self.seen_by_clouds = cloud_model.bands_for(options.clouds, options.bands)
        path = setting.root / options.path
        paths = image_cubes.below(path) if path.exists() else []
        if not paths:
            raise InputError(
                f"source.path: {path} is no cube (NetCDF, Zarr) and has none. For a folder of images give "
                "source.pattern or source.dates."
            )
        self.cubes = {one.name: image_cubes.described(one) for one in paths}
        self.days = {name: Counter(t.date() for t in cube.times) for name, cube in self.cubes.items()}
        for cube in self.cubes.values():
            self._check(cube)

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        touching = [
            (name, cube)
            for name, cube in self.cubes.items()
            if shapely.box(*cube.grid.geographic_extent.boundingbox.bbox).intersects(area)
        ]
        scenes = [
            self._scene(name, cube, place)
            for name, cube in touching
            for place, moment in enumerate(cube.times)
            if start <= moment.date() < end
        ]
        return sorted(scenes, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        name, _, text = href.rpartition(SEPARATOR)
        cube = self.cubes.get(name)
        place = next((i for i, t in enumerate(cube.times) if t.isoformat() == text), None) if cube else None
        if cube is None or place is None:
            raise WorkError(f"{href} is not there any more.")
        return self._scene(name, cube, place)

    def native(self, scene: Scene, band: str) -> GeoBox:
        return scene.grid_of(band)

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        if bands[0] == self.mask_band:
            if self.options.clouds:
                return cloud_model.classes_of(self, scene, grid, self.options.clouds, self.seen_by_clouds)
            return self._read_mask(scene, grid)[np.newaxis]
        numbers = self._numbers(scene, bands, grid, Resampling.bilinear)
        if self.options.has_scale:
            found: NDArray[Any] = own_numbers.reflectance(numbers, scene.id, *self.options.scaling)
        elif self.is_picture:
            has_data = np.isfinite(numbers)
            return eight_bits.raised(np.rint(np.where(has_data, numbers, 0)), has_data)
        else:
            has_data = np.isfinite(numbers)
            # A valid 0 becomes 1, so that 0 says one thing only.
            found = np.where(has_data, np.maximum(np.rint(np.where(has_data, numbers, 0)), 1), 0)
        return without_offset(found.astype(self.held), scene.offset)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        return 0

    def _numbers(
        self, scene: Scene, bands: Sequence[str], grid: GeoBox, resampling: Resampling
    ) -> NDArray[np.float32]:
        """Layers (band, y, x) on a grid, NaN where there is no data."""
        name, _, _ = scene.href.rpartition(SEPARATOR)
        words = [str(self.options.bands[band]) for band in bands]
        return self.cubes[name].read(words, scene.assets[bands[0]].index, grid, resampling)

    def _read_mask(self, scene: Scene, grid: GeoBox) -> NDArray[Any]:
        rule, mask = self.options.mask, self.mask
        if rule is None or mask is None:
            raise WorkError(f"{scene.id} has no mask.")
        name, _, _ = scene.href.rpartition(SEPARATOR)
        words = [str(rule.band), str(next(iter(self.options.bands.values())))]
        moment = scene.assets[mask.name].index
        stored, image = self.cubes[name].read(words, moment, grid, Resampling.nearest)
        if not rule.is_own:
            return own_numbers.as_stored(stored, scene.id, mask)
        return own_numbers.clear_or_not(stored, image, rule)

    def _check(self, cube: Cube) -> None:
        """InputError where a cube lacks a layer, or its numbers are not of the type that is held."""
        masks = [str(self.options.mask.band)] if self.options.mask else []
        for word in (*map(str, self.options.bands.values()), *masks):
            if word not in cube.layers:
                raise InputError(
                    f"source.bands: {cube.path} has no layer {word}; it has {', '.join(cube.layers)}."
                )
        for word in map(str, self.options.bands.values()):
            layer = cube.layers[word]
            # CF's own scale makes other numbers of the stored ones.
            dtype = "float32" if layer.is_scaled else layer.dtype
            own_numbers.check_type(f"{cube.path} ({word})", dtype, self.held, self.options.has_scale)

    def _scene(self, name: str, cube: Cube, place: int) -> Scene:
        moment = cube.times[place]
        # Of several times on one day each needs an id of its own.
        is_alone = self.days[name][moment.date()] == 1
        told = moment.strftime("%Y-%m-%d" if is_alone else "%Y-%m-%dT%H%M%S")
        bands = [*self.options.bands, *([self.mask_band] if self.mask_band else [])]
        assets = {band: Asset(str(cube.path), cube.grid, place) for band in bands}
        href = f"{name}{SEPARATOR}{moment.isoformat()}"
        scene = Scene(f"{Path(name).stem}_{told}", moment, assets, "local", href=href, dated_by="cube")
        if not self.options.boa_offset:
            return scene
        return product_baselines.of_words(
            scene, product_baselines.words(cube.path.parent, [name]), self.profile
        )


_conforms: type[Source] = CubeSource
