"""Tiles without a place, one below the other: how they share a cube."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from minebench.errors import InputError

TILES = 64
"""Tiles of one stack: 25 MB of RGB pairs of 256 x 256."""


def chunked(names: Sequence[str], size: int = TILES) -> list[tuple[str, ...]]:
    """Names in groups of at most `size`."""
    return [tuple(names[start : start + size]) for start in range(0, len(names), size)]


def picture(content: bytes | Path, name: str, mode: str) -> NDArray[np.uint8]:
    """A picture file as (band, y, x), or (y, x) with mode L. InputError names it."""
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            pixels = np.asarray(opened.convert(mode))
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise _unreadable(name, error) from None
    return pixels if mode == "L" else np.moveaxis(pixels, -1, 0)


def opaque(content: bytes | Path, name: str) -> NDArray[np.bool_] | None:
    """Where a picture file has data (y, x), by its alpha; None where it has none. InputError names it."""
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            if not opened.has_transparency_data:
                return None
            return np.asarray(opened.convert("RGBA").getchannel("A")) > 0
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise _unreadable(name, error) from None


def shape(path: Path) -> tuple[int, int]:
    """Rows and columns of a picture file. InputError names it."""
    try:
        with Image.open(path) as opened:
            return opened.height, opened.width
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise _unreadable(str(path), error) from None


def _unreadable(name: str, error: Exception) -> InputError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{name} is not a picture that can be read: {said}.")


def stacked(tiles: Iterable[NDArray[Any]], names: Sequence[str], side: int) -> NDArray[Any]:
    """Tiles (..., y, x) one below the other. InputError names one of another size."""
    found = []
    for tile, name in zip(tiles, names, strict=True):
        if tile.shape[-2:] != (side, side):
            raise InputError(f"{name} is {tile.shape[-2]} x {tile.shape[-1]} pixels, not {side} x {side}.")
        found.append(tile)
    return np.concatenate(found, axis=-2)


def binary(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask with any number for the class as 0 and 1."""
    return (mask > 0).astype(np.uint8)
