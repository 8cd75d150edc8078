"""Onto which grid each band of a scene is read, and the pixels kept."""

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench.errors import Unusable, WorkError
from pipeline.core import eight_bits
from pipeline.geo import grid
from pipeline.recipe import Recipe
from pipeline.scenes.store import AS_STORED, SceneStore, Shift, name_of
from pipeline.sensors import classes
from pipeline.sites.site import Site
from pipeline.sources.opened import Opened
from pipeline.sources.protocol import Scene

STILL: Shift = (0.0, 0.0)
HARDLY_ANY = 0.02
"""Share of data in a mask below which its bands' share says nothing."""


class Reader:
    """Reads one site's scenes onto its grids, and keeps what was read. With a `shift` the grids
    lie so many metres further east and north, where the scene's content is: one interpolation
    brings it back."""

    def __init__(self, source: Opened, recipe: Recipe, site: Site, store: SceneStore) -> None:
        self.source, self.recipe, self.store = source, recipe, store
        self.mask = recipe.profile.mask if source.mask_band else None
        self.grid = site.grid
        self.mask_grid = mask_grid(self.grid, recipe, source)

    def keep_mask(self, scene: Scene, shift: Shift = STILL) -> list[str]:
        """Read and keep what tells a scene's clear pixels: its mask, or without one its bands; the
        files' names."""
        if self.mask is None:
            return self.bands(scene, shift)
        name = name_of(scene.id, self.mask.name, shift)
        if not self.store.has(name):
            pixels = self._read(scene, [self.mask.name], self.mask_grid, shift)
            self.store.write(
                name, pixels.astype(self.mask.dtype, copy=False), self.mask_grid, [self.mask.name]
            )
        return [name]

    def classes(self, scene: Scene, shift: Shift = STILL) -> NDArray[np.uint8]:
        """Classes of the pixels on the mask grid (`pipeline.sensors.classes`); without a mask clear
        where there is data."""
        names = self.keep_mask(scene, shift)
        if self.mask is not None:
            return self.mask.decode(self.store.read(names[0])[0])
        has_data = np.all([self.store.read(name).all(axis=0) for name in names], axis=0)
        return np.where(has_data, np.uint8(classes.CLEAR), np.uint8(classes.NODATA))

    def bands(self, scene: Scene, shift: Shift = STILL) -> list[str]:
        """Keep a scene's bands, one file for each pixel size, and return the files' names. Those of a
        doubtful scene are kept as stored, until `settle` is told the offset."""
        names = []
        groups = [(self.grid, list(self.recipe.sensor.bands))] if any(shift) else self._by_grid(scene)
        for area, bands in groups:
            name = name_of(scene.id, _part(area, scene.is_doubtful), shift)
            if not self.store.has(name):
                pixels = self._read(scene.as_stored if scene.is_doubtful else scene, bands, area, shift)
                self._check_against_mask(scene, pixels, shift)
                self.store.write(name, self._kept(pixels), area, bands)
            names.append(name)
        return names

    def _kept(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """A source's pixels (band, y, x) as they are kept."""
        encoding = self.recipe.sensor.encoding
        return eight_bits.kept(pixels) if encoding.is_picture else pixels.astype(encoding.held, copy=False)

    def settle(self, scene: Scene, offset: int) -> Scene:
        """Take the offset out of bands that were kept as stored; return the scene that has it. A scene that
        was interrupted here is settled again from what is still kept as stored."""
        settled = scene.with_offset(offset)
        for area, bands in self._by_grid(scene):
            name, stored = (name_of(scene.id, _part(area, doubtful)) for doubtful in (False, True))
            pixels = self.recipe.profile.calibrate(self.store.read(stored), offset)
            self.store.write(name, pixels, area, bands)
            self.store.has(name)
            self.store.drop([stored])
        return settled

    def _check_against_mask(self, scene: Scene, pixels: NDArray[Any], shift: Shift) -> None:
        """WorkError where bands are empty and the scene's mask is not."""
        if self.mask is None:
            return
        name = name_of(scene.id, self.mask.name, shift)
        if name not in self.store.sums:
            return
        share = float((self.mask.decode(self.store.read(name)) != classes.NODATA).mean())
        if share > HARDLY_ANY and float(pixels.any(axis=0).mean()) < share / 2:
            raise Unusable(f"{scene.id} has no pixels where its mask says that it has some")

    def fine(self, scene: Scene, shift: Shift, bands: int) -> NDArray[Any] | None:
        """The first so many of the kept bands (band, y, x) that lie on the target grid; None where fewer
        do."""
        return self.store.first_of(self.bands(scene, shift), self.grid.shape, bands)

    def is_on_grid(self, scene: Scene) -> bool:
        """Return whether one of a scene's bands lies on the site's grid, or on that of its mask."""
        natives = [self.source.native(scene, band) for band in self.recipe.sensor.bands]
        return any(grid.aligned(own, native) for own in (self.grid, self.mask_grid) for native in natives)

    def on_target(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the mask grid on the target grid."""
        factor = self.grid.height // self.mask_grid.height
        return mask.repeat(factor, axis=0).repeat(factor, axis=1)

    def _by_grid(self, scene: Scene) -> list[tuple[GeoBox, list[str]]]:
        return by_grid(self.source, scene, self.recipe, self.grid)

    def _read(self, scene: Scene, bands: list[str], area: GeoBox, shift: Shift) -> NDArray[Any]:
        pixels = self.source.read(scene, bands, moved(area, shift))
        if pixels.shape != (len(bands), *area.shape):
            raise WorkError(f"{scene.id}: read {pixels.shape} where {(len(bands), *area.shape)} was asked.")
        return pixels


def _part(area: GeoBox, doubtful: bool) -> str:
    """The part of a file's name that says which bands it has."""
    return f"{area.resolution.x:g}m{AS_STORED if doubtful else ''}"


def moved(area: GeoBox, shift: Shift) -> GeoBox:
    """A grid moved so many metres east and north."""
    return GeoBox(area.shape, Affine.translation(*shift) @ area.transform, area.crs) if any(shift) else area


def by_grid(source: Opened, scene: Scene, recipe: Recipe, target: GeoBox) -> list[tuple[GeoBox, list[str]]]:
    """Bands grouped by the grid they are read onto: their own where it fits the site's and is as
    fine or just twice as coarse (then with a halo of one pixel), else the target."""
    coarse = mask_grid(target, recipe, source)
    found: dict[GeoBox, list[str]] = {}
    for band in recipe.sensor.bands:
        fits = coarse != target and grid.aligned(coarse, source.native(scene, band))
        found.setdefault(coarse.pad(1) if fits else target, []).append(band)
    return list(found.items())


def mask_grid(target: GeoBox, recipe: Recipe, source: Opened) -> GeoBox:
    """Grid of the mask: twice the target's pixel where the sensor's mask has that pixel and the site is
    snapped to it (as Sentinel-2's 20 m for 10 m), else the target's."""
    double = recipe.sensor.snap == 2 * recipe.sensor.resolution
    return target.zoom_out(2) if source.mask_band and double else target
