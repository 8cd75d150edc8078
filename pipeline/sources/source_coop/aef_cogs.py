"""Scenes of the index, and the windows of their COGs.

A COG holds 64 bands (A00 to A63) of int8: 8192 x 8192 pixels of 10 m of one UTM zone and year, in blocks of
1024 x 1024 pixels of one band each; -128 is no data, in all bands or in none. Its numbers are those that
`pipeline.core.embedding` keeps, so that pixels are copied. Source Cooperative's COGs are bottom-up.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from pipeline.core import embedding, signed, web
from pipeline.core.errors import InputError, Unusable, WorkError
from pipeline.core.files import write_json
from pipeline.geo import raster, stored, window, zones
from pipeline.geo.remote import Signer, Unsigned
from pipeline.sensors import alphaearth
from pipeline.sources.protocol import Asset, Scene, Setting, Source
from pipeline.sources.source_coop import aef_index
from pipeline.sources.source_coop.aef_index import CogIndex
from pipeline.sources.stac.buckets import SCHEME, Buckets

if TYPE_CHECKING:
    from pipeline.sources.source_coop import Options

BLOCK = 1024
"""Side of a COG's blocks, pixels."""
RECORD = "aef_index.json"
"""File in the benchmark's data that says which index was read last."""
_reading = threading.Lock()


class CogSource:
    """See `pipeline.sources.protocol.Source`. A COG is a scene. Pixels are copied, never interpolated:
    between the numbers of two vectors lies no vector's."""

    mask_band: str | None = None

    def __init__(self, options: Options, setting: Setting) -> None:
        self.options, self.bands, self.root = options, setting.sensor.bands, setting.root
        self.record, self.compared = setting.data / RECORD, ""
        self.buckets = Buckets(options)
        self.is_remote = _is_remote(options.folder)
        self.parallel = options.parallel if self.is_remote else 1

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        found = self._index().near(area, start.year, (end - timedelta(days=1)).year)
        own = zones.of_own_zone([cog.grid for cog in found], area)
        scenes = [self._scene(cog.name, cog.grid) for cog in itertools.compress(found, own)]
        return sorted(scenes, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        if not aef_index.NAME.fullmatch(href):
            raise WorkError(f"{href} is no COG of this source.")
        return self._scene(href, self._grid_of(href))

    def native(self, scene: Scene, band: str) -> GeoBox:
        grid = scene.assets[band].grid
        return self._grid_of(scene.href) if grid is None else grid

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[np.uint8]:
        area = window.covering(self.native(scene, bands[0]), grid)
        if area is None:
            return np.zeros((len(bands), *grid.shape), np.uint8)
        indexes = [scene.assets[band].index for band in bands]
        href, signer = self._address(f"{self.options.folder}/{scene.href}")
        numbers = stored.read(href, indexes, area, signer, self.parallel)
        if numbers.dtype != np.int8:
            raise Unusable(f"{href} holds {numbers.dtype}, and an embedding's numbers are int8.")
        return window.placed(signed.raised(numbers), area, grid, Resampling.nearest)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        # One for the file's head; a band's blocks of one row lie together.
        return 1 + len(bands) * -(-grid.height // BLOCK) if self.is_remote else 0

    def _index(self) -> CogIndex:
        """The index, read once in a process; stages are separate processes."""
        address, signer = self._address(self.options.index)
        remote = raster.is_remote(address)
        read_at = 0 if remote or not Path(address).exists() else Path(address).stat().st_mtime_ns
        with _reading:
            try:
                found = _read_once(address, signer, self.parallel, read_at)
            except web.Gone:
                raise InputError(f"source.index: {address} is not there (HTTP 404).") from None
            if self.compared != found.digest:
                self._compare(found.digest)
                self.compared = found.digest
        return found

    def _compare(self, digest: str) -> None:
        """Say so where the index is another than the benchmark's last one; keep on record which it is."""
        now = {"index": self.options.index, "sha256_of_footer": digest}
        before = json.loads(self.record.read_text()) if self.record.is_file() else now
        if before["index"] == now["index"] and before != now:
            print(
                f"The index {self.options.index} has changed since this benchmark read it last: scenes "
                "that were chosen stay, and `minebench fetch --refresh` chooses anew",
                file=sys.stderr,
            )
        if before != now or not self.record.is_file():
            write_json(now, self.record)

    def _scene(self, name: str, grid: GeoBox) -> Scene:
        match = aef_index.NAME.fullmatch(name)
        assert match is not None  # the index and `find` have looked
        assets = {
            band: Asset(name, grid, embedding.BANDS.index(band) + 1, dtype="int8") for band in self.bands
        }
        return Scene(
            id=match["id"],
            time=alphaearth.middle_of(int(match["year"])),
            assets=assets,
            source="source_coop",
            href=name,
            dated_by=alphaearth.DATED_BY,
        )

    def _grid_of(self, name: str) -> GeoBox:
        """The grid that a COG itself says."""
        href, signer = self._address(f"{self.options.folder}/{name}")
        return stored.grid_of(href, signer, self.parallel)

    def _address(self, href: str) -> tuple[str, Signer]:
        """Where a file is on the web or on the disk, and what signs requests for it."""
        if href.startswith(SCHEME):
            if flaw := self.buckets.flaw(href, {}):
                raise InputError(f"source.index: {href} {flaw}.")
            return self.buckets.address(href, ""), self.buckets.signer(href, "")
        return href if raster.is_remote(href) else str(self.root / href), Unsigned()


def _is_remote(href: str) -> bool:
    return raster.is_remote(href) or href.startswith(SCHEME)


_held: dict[tuple[str, int], CogIndex] = {}
"""The index that was read last, by its address and, of a file, its time."""


def _read_once(address: str, signer: Signer, parallel: int, read_at: int) -> CogIndex:
    key = address, read_at
    if key not in _held:
        _held.clear()
        _held[key] = aef_index.read(address, signer, parallel)
    return _held[key]


_conforms: type[Source] = CogSource
