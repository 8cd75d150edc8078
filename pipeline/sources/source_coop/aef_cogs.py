"""Find scenes in the index of the Satellite Embedding's COGs, and read windows of the COGs.

A COG has 64 bands (A00 to A63) of int8 with 8192 x 8192 pixels of 10 m, of one UTM zone and year. Its blocks
are 1024 x 1024 pixels of one band. Nodata is -128, in all bands of a pixel or in none. The coding is that of
`minebench.cube.encoding`, so pixels are copied unchanged. Source Cooperative's COGs are bottom-up.
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

from minebench.cube import encoding
from minebench.errors import InputError, Unusable, WorkError
from minebench.files import write_json
from pipeline.geo import raster, stored, window, zones
from pipeline.geo.remote import Signer, Unsigned
from pipeline.sensors import alphaearth
from pipeline.sources.protocol import Asset, Scene, Setting, Source
from pipeline.sources.source_coop import aef_index
from pipeline.sources.source_coop.aef_index import CogIndex
from pipeline.sources.stac.buckets import SCHEME, Buckets
from pipeline.web import client

if TYPE_CHECKING:
    from pipeline.sources.source_coop import Options

BLOCK = 1024
"""Side of a COG's blocks, pixels."""
RECORD = "aef_index.json"
"""File in the benchmark's data folder that records which index was read last."""
_reading = threading.Lock()
"""Held while the index is read, so that parallel searches read it once."""


class CogSource:
    """See `pipeline.sources.protocol.Source`. Each COG is a scene.

    Pixels are copied, never interpolated: an average of two pixels' numbers is no vector of the embedding.
    """

    mask_band: str | None = None

    def __init__(self, options: Options, setting: Setting) -> None:
        self.options, self.bands, self.root = options, setting.sensor.bands, setting.root
        self.record, self.compared = setting.data / RECORD, ""
        self.buckets = Buckets(options)
        self.is_remote = _is_remote(options.folder)
        self.parallel = options.parallel if self.is_remote else 1

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        cogs = self._index().near(area, start.year, (end - timedelta(days=1)).year)
        chosen = zones.of_own_zone([cog.grid for cog in cogs], area)
        scenes = [self._scene(cog.name, cog.grid) for cog in itertools.compress(cogs, chosen)]
        return sorted(scenes, key=lambda scene: (scene.time, scene.id))

    def find(self, href: str) -> Scene:
        if not aef_index.NAME.fullmatch(href):
            raise WorkError(f"{href} is not the name of a COG of this source.")
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
            raise Unusable(f"{href} has dtype {numbers.dtype}; an embedding has int8.")
        return window.placed(encoding.raised(numbers), area, grid, Resampling.nearest)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        # One for the header, and one per band and row of blocks, whose blocks lie together in the file.
        return 1 + len(bands) * -(-grid.height // BLOCK) if self.is_remote else 0

    def _index(self) -> CogIndex:
        """Return the index, read once per process. InputError where it is missing or not readable."""
        address, signer = self._address(self.options.index)
        remote = raster.is_remote(address)
        modified = 0 if remote or not Path(address).exists() else Path(address).stat().st_mtime_ns
        with _reading:
            try:
                index = _read_once(address, signer, self.parallel, modified)
            except client.Gone:
                raise InputError(f"source.index: {address} is not there (HTTP 404).") from None
            if self.compared != index.digest:
                self._compare(index.digest)
                self.compared = index.digest
        return index

    def _compare(self, digest: str) -> None:
        """Print a notice if the index changed since this benchmark last read it; record its digest."""
        now = {"index": self.options.index, "sha256_of_footer": digest}
        before = json.loads(self.record.read_text()) if self.record.is_file() else now
        if before["index"] == now["index"] and before != now:
            print(
                f"The index {self.options.index} has changed since this benchmark last read it: the scenes "
                "chosen before stay; `minebench fetch --refresh` chooses again",
                file=sys.stderr,
            )
        if before != now or not self.record.is_file():
            write_json(now, self.record)

    def _scene(self, name: str, grid: GeoBox) -> Scene:
        match = aef_index.NAME.fullmatch(name)
        assert match is not None  # checked by the index and by `find`
        assets = {
            band: Asset(name, grid, encoding.BANDS.index(band) + 1, dtype="int8") for band in self.bands
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
        """Return the grid in a COG's own header, north up."""
        href, signer = self._address(f"{self.options.folder}/{name}")
        return stored.grid_of(href, signer, self.parallel)

    def _address(self, href: str) -> tuple[str, Signer]:
        """Return a file's web address or path, and what signs requests for it."""
        if href.startswith(SCHEME):
            if flaw := self.buckets.flaw(href, {}):
                raise InputError(f"source.index: {href} {flaw}.")
            return self.buckets.address(href, ""), self.buckets.signer(href, "")
        return href if raster.is_remote(href) else str(self.root / href), Unsigned()


def _is_remote(href: str) -> bool:
    return raster.is_remote(href) or href.startswith(SCHEME)


_last_read: dict[tuple[str, int], CogIndex] = {}
"""The index that was read last, by its address and, for a local file, its modification time (ns)."""


def _read_once(address: str, signer: Signer, parallel: int, modified: int) -> CogIndex:
    key = address, modified
    if key not in _last_read:
        _last_read.clear()
        _last_read[key] = aef_index.read(address, signer, parallel)
    return _last_read[key]


_conforms: type[Source] = CogSource
