"""A site's kept scenes, checked before they are believed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from minebench.errors import Damaged
from minebench.files import sha256
from pipeline.core import eight_bits
from pipeline.scenes.store import SceneStore
from pipeline.sensors.profile import Profile

CACHE = {"GDAL_CACHEMAX": 16_000_000}
"""Bytes of decoded blocks: none is read twice, and GDAL would keep those of files that stay open."""
MOST_OPEN = 128
"""Files that stay open: to open one takes longer than to read some of its bands."""


class KeptScenes:
    """Reads a site's kept files, which it holds open; raises WorkError where one is missing or damaged.
    Threads may share it. To be closed, or used in a `with`."""

    def __init__(self, store: SceneStore, profile: Profile, is_picture: bool = False) -> None:
        self.store, self.profile, self.is_picture = store, profile, is_picture
        self.where: dict[tuple[str, str], tuple[str, int, tuple[int, int]]] = {}
        self.checked: set[str] = set()
        self.idle: list[tuple[str, DatasetReader]] = []
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self.idle:
            self.idle.pop()[1].close()

    def look_up(self, scene_id: str) -> None:
        """Check the files of a scene's bands, and note what is where in them."""
        for name in self.store.bands(scene_id):
            with self._opened(name) as file:
                for index, band in enumerate(file.descriptions, 1):
                    self.where[scene_id, band] = (name, index, file.shape)

    def classes(self, scene_id: str) -> NDArray[np.uint8] | None:
        """Classes of a scene's pixels on the mask grid; None for sensors without a mask."""
        name = self.store.mask(scene_id)
        return self.profile.mask.decode(self._read(name, 1)) if name and self.profile.mask else None

    def shape(self, scene_id: str, band: str) -> tuple[int, int]:
        """Rows and columns that a band is kept in."""
        return self._place(scene_id, band)[2]

    def band(self, scene_id: str, band: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """One band in its kept pixel size (y, x); read into `out` where it is given. Pictures are one higher
        (`pipeline.core.eight_bits`)."""
        name, index, _ = self._place(scene_id, band)
        if not self.is_picture:
            return self._read(name, index, out)
        found = eight_bits.read_back(self._read(name, index))
        if out is not None:
            out[:] = found
        return found

    def _place(self, scene_id: str, band: str) -> tuple[str, int, tuple[int, int]]:
        """The file that holds a band, its number there, and its shape."""
        if (scene_id, band) not in self.where:
            self.look_up(scene_id)
        if (scene_id, band) not in self.where:
            raise Damaged(
                f"{self.store.folder} has no {band} of {scene_id}: run `minebench fetch` to get it."
            )
        return self.where[scene_id, band]

    def _read(self, name: str, index: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
        with self._opened(name) as file:
            return file.read(index, out=out)

    @contextmanager
    def _opened(self, name: str) -> Iterator[DatasetReader]:
        """A file for one thread alone."""
        self._check(name)
        with self.lock:
            place = next((i for i, (held, _) in enumerate(self.idle) if held == name), None)
            file = None if place is None else self.idle.pop(place)[1]
        file = file or rasterio.open(self.store.folder / name)
        try:
            yield file
        except BaseException:
            file.close()
            raise
        with self.lock:
            self.idle.append((name, file))
            surplus = self.idle.pop(0)[1] if len(self.idle) > MOST_OPEN else None
        if surplus is not None:
            surplus.close()

    def _check(self, name: str) -> None:
        """Compare a file with its checksum, once, before it is believed."""
        if name in self.checked:
            return
        path = self.store.folder / name
        if not path.is_file() or sha256(path) != self.store.sums[name]:
            raise Damaged(f"{path} is missing or damaged: run `minebench fetch` to get it again.")
        self.checked.add(name)
