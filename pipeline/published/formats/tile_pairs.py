"""Pairs of tiles without a place, as stacks of tiles that share a cube."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.published.formats import pair_files, tile_stacks
from pipeline.published.formats.layout import Dated, Found, Pair

PARTS = {"before": "A", "after": "B"}
"""The pictures of each period."""


class TilePairs:
    """Pairs of tiles without a place as stacks; see `pipeline.published.formats.layout.Layout`. `images` are
    the two periods with their days."""

    version = 1

    def __init__(self, folder: Path, images: Mapping[str, Dated]) -> None:
        self.folder = folder
        self.pairs = pair_files.found(folder)
        self.side = self._side()
        self.found = self._stacks(images)

    def sites(self) -> list[Found]:
        return self.found

    def _stacks(self, images: Mapping[str, Dated]) -> list[Found]:
        found = []
        for split, names in sorted(self.pairs.listed.items()):
            for number, tiles in enumerate(tile_stacks.chunked(names)):
                shape = (len(tiles) * self.side, self.side)
                found.append(Found(f"{split}-{number:04d}", shape, images, split, tiles=tiles))
        return found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        return tile_stacks.stacked(self._pictures(site.tiles, PARTS[label]), site.tiles, self.side)

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        seen = [self.opaque(*content) for content in self.pairs.contents(site.tiles, PARTS[label])]
        if all(mask is None for mask in seen):
            return None
        whole = np.ones((self.side, self.side), bool)
        return np.concatenate([whole if mask is None else mask for mask in seen])

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        return None

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        labels = (self.label(*content) for content in self.pairs.contents(site.tiles, "label"))
        return {("before", "after"): tile_stacks.stacked(labels, site.tiles, self.side)}

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        return None

    def files(self, site: Found) -> list[Path]:
        return self.pairs.files(site.tiles)

    def picture(self, content: pair_files.Content, name: str) -> NDArray[Any]:
        """A tile (band, y, x)."""
        return tile_stacks.picture(content, name, "RGB")

    def opaque(self, content: pair_files.Content, name: str) -> NDArray[np.bool_] | None:
        """Where a tile has data (y, x); None where its file says nothing."""
        return tile_stacks.opaque(content, name)

    def label(self, content: pair_files.Content, name: str) -> NDArray[np.uint8]:
        """A label (y, x) in {0, 1, 255}."""
        return tile_stacks.binary(tile_stacks.picture(content, name, "L"))

    def _side(self) -> int:
        """Side of the tiles: that of the first."""
        name = next(iter(self.pairs.listed.values()))[0]
        return int(next(self._pictures((name,), "A")).shape[-1])

    def _pictures(self, names: tuple[str, ...], part: str) -> Iterator[NDArray[Any]]:
        return (self.picture(*content) for content in self.pairs.contents(names, part))
