"""What a recipe says of its cubes: periods, pixels, chunks. Their form is that of `minebench.cube.store`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minebench.cube import encoding
from minebench.cube.store import periods_of
from minebench.errors import NotMadeYet
from minebench.periods import Period
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import zarr


LARGEST_CHUNK = 512


def periods_in(path: Path, recipe: Recipe) -> list[Period]:
    """The recipe's periods that the cube holds, in its order. NotMadeYet where it holds another."""
    known = {period.label: period for period in recipe.periods.periods()}
    held = periods_of(path)
    if strange := [label for label in held if label not in known]:
        raise NotMadeYet(f"{path} holds {strange[0]}, no period of the recipe: run `minebench compose`.")
    return [known[label] for label in held]


def image_name(recipe: Recipe) -> str:
    """The name of the array of pixels."""
    return recipe.sensor.encoding.kind


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a cube. KeyError where there is none, ValueError where a group has its name."""
    import zarr

    found = group[name]
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{name} is a group and no array")
    return found


def images(path: Path, recipe: Recipe, place: Any = slice(None)) -> NDArray[Any]:
    """A cube's images (period, band, y, x), or one of them (band, y, x), as they are held in memory: nodata
    is 0."""
    # Most who ask about a cube read none of its pixels.
    import zarr

    return encoding.raised(np.asarray(array_of(zarr.open_group(path, mode="r"), image_name(recipe))[place]))


def has_data(pixels: NDArray[Any], clear: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture (band, y, x) has data (y, x), by its clear counts (y, x): black without a clear
    observation is none."""
    return np.asarray((clear > 0) | (pixels != 0).any(axis=0))


def chunk_side(recipe: Recipe) -> int:
    """Side of a chunk: the tile, in pixels, within reason."""
    return min(recipe.tiling.size, LARGEST_CHUNK)
