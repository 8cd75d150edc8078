"""A site's kept scenes, checked before they are believed."""

from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipeline.core.errors import Damaged
from pipeline.core.files import sha256
from pipeline.scenes.store import SceneStore
from pipeline.sensors.profile import Profile


class KeptScenes:
    """Reads a site's kept files; raises WorkError where one is missing or damaged."""

    def __init__(self, store: SceneStore, profile: Profile) -> None:
        self.store, self.profile = store, profile
        self.where: dict[tuple[str, str], tuple[str, int]] = {}
        self.checked: set[str] = set()

    def classes(self, scene_id: str) -> NDArray[np.uint8] | None:
        """Classes of a scene's pixels on the mask grid; None for sensors without a mask."""
        name = self.store.mask(scene_id)
        return self.profile.mask.decode(self._read(name, 1)) if name and self.profile.mask else None

    def band(self, scene_id: str, band: str) -> NDArray[Any]:
        """One band in its kept pixel size (y, x)."""
        if (scene_id, band) not in self.where:
            self._look_up(scene_id)
        if (scene_id, band) not in self.where:
            raise Damaged(
                f"{self.store.folder} has no {band} of {scene_id}: run `minebench fetch` to get it."
            )
        return self._read(*self.where[scene_id, band])

    def _look_up(self, scene_id: str) -> None:
        for name in self.store.bands(scene_id):
            self._check(name)
            with rasterio.open(self.store.folder / name) as file:
                for index, band in enumerate(file.descriptions, 1):
                    self.where[scene_id, band] = (name, index)

    def _read(self, name: str, index: int) -> NDArray[Any]:
        self._check(name)
        with rasterio.open(self.store.folder / name) as file:
            return file.read(index)

    def _check(self, name: str) -> None:
        """Compare a file with its checksum, once, before it is believed."""
        if name in self.checked:
            return
        path = self.store.folder / name
        if not path.is_file() or sha256(path) != self.store.sums[name]:
            raise Damaged(f"{path} is missing or damaged: run `minebench fetch` to get it again.")
        self.checked.add(name)
