"""Which mask lies beside a folder's images or in them, and which of its numbers are clear ground."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from pipeline.geo import raster
from pipeline.image_folder import file_names, products
from pipeline.image_folder.file_names import Named
from pipeline.image_folder.products import Product
from pipeline.sensors import classes
from pipeline.sources.local import tree

LOOKED_AT = 8
"""Files, at most, whose numbers are looked at."""
SIDE = 256
PROBABLE = re.compile(r"prob|prb|clp|s2cloudless", re.IGNORECASE)
"""Words of masks that hold a probability of cloud."""
OF_CLOUD = re.compile(r"cloud|cld|clm|shadow|snow", re.IGNORECASE)
"""Words of masks that say 1 where ground is hidden."""
THRESHOLD = 0.4
"""Probability of cloud below which ground is clear, as s2cloudless has it."""
SCL_ABOUT = "the scene classes of Sentinel-2; which of them are clear: selection.clear_classes"

QA60_ABOUT = "a guess: 0 is clear; from February 2022 to February 2024 QA60 may be 0 under clouds too"
"""The band of Earth Engine's Sentinel-2 that has bits for opaque and cirrus clouds."""


@dataclass(frozen=True)
class Mask:
    """A mask as the recipe names it: `word` in the file's name, its number in the file or a cube's layer. It
    `is_own` where the sensor's profile knows its numbers."""

    word: str | int
    about: str
    clear: tuple[int, ...] | None = None
    below: float | None = None
    is_own: bool = False
    name: str = ""
    """What the mask is called."""


def apart(numbers: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Bands of a file by their names, and its masks."""
    masks = {name: number for name, number in numbers.items() if file_names.seems_mask(name)}
    bands = {name: number for name, number in numbers.items() if name not in masks}
    return (bands, masks) if bands else (dict(numbers), {})


def find(folder: Path, named: Named, in_file: Mapping[str, int], product: Product | None) -> Mask | None:
    """The best of a folder's masks; None where there is none that is understood."""
    found = []
    for name, number in in_file.items():
        samples = _samples(folder, named.images, number)
        found.append(_named(name, _judged(name, number, samples, product)))
    for word in named.masks:
        files = [name for name in named.mask_files if _word(named, name) == word]
        found.append(_named(word, _judged(word, word, _samples(folder, files, 1), product)))
    return best(found)


def best(masks: Sequence[tuple[int, Mask] | None]) -> Mask | None:
    """The mask that says most."""
    ranked = sorted((mask for mask in masks if mask), key=lambda one: one[0])
    return ranked[0][1] if ranked else None


def _named(name: str, found: tuple[int, Mask] | None) -> tuple[int, Mask] | None:
    return found and (found[0], replace(found[1], name=name))


def _word(named: Named, name: str) -> str:
    match = re.fullmatch(named.pattern, name)
    return (match.groupdict().get("band") or "") if match else ""


def _judged(
    name: str, word: str | int, numbers: NDArray[np.float64], product: Product | None
) -> tuple[int, Mask] | None:
    """A mask with its rank, 0 the best; None where nothing tells what its numbers mean."""
    if not numbers.size:
        return None
    if re.search(r"qa[-_]?pixel", name, re.IGNORECASE):
        is_own = product is not None and bool(product.profile)
        return (1, Mask(word, "the bits of Landsat's QA_PIXEL", is_own=True)) if is_own else None
    if re.search(r"fmask", name, re.IGNORECASE) and product in (
        products.HLS_S30,
        products.HLS_L30,
    ):
        about = "HLS's Fmask without cloud, what is adjacent to it, shadow and snow"
        return 1, Mask(word, about, clear=products.FMASK_CLEAR)
    return of_numbers(name, word, numbers)


def of_numbers(name: str, word: str | int, numbers: NDArray[np.float64]) -> tuple[int, Mask] | None:
    """A mask with its rank by its name and its numbers; None where these tell nothing."""
    if not numbers.size:
        return None
    values = np.unique(numbers)
    is_whole = bool((values == np.rint(values)).all())
    if re.search(r"(?<![a-z])scl(?![a-z])", name, re.IGNORECASE):
        fits = is_whole and values.min() >= 0 and values.max() <= classes.SNOW
        return (0, Mask(word, SCL_ABOUT)) if fits else None
    if is_whole and re.fullmatch(r"qa60", name, re.IGNORECASE):
        return 2, Mask(word, QA60_ABOUT, clear=(0,))
    if is_whole and set(values) <= {0, 1, 255} and (OF_CLOUD.search(name) or PROBABLE.search(name)):
        return 3, Mask(word, "a guess: 0 is clear", clear=(0,))
    if is_whole and OF_CLOUD.search(name) and {4, 5} & set(values) and values.max() <= classes.SNOW:
        # As R's package sits calls Sentinel-2's scene classes.
        return 1, Mask(word, f"a guess: {SCL_ABOUT}")
    most = next((most for most in (1, 100, 255) if values.min() >= 0 and values.max() <= most), None)
    if PROBABLE.search(name) and most:
        below = round(THRESHOLD * most, 2)
        return 2, Mask(
            word, f"a guess: a probability of cloud from 0 to {most}, clear below {below:g}", below=below
        )
    return None


def _samples(folder: Path, names: Sequence[str], number: int) -> NDArray[np.float64]:
    """Numbers of one band of some files, of their middle and of all of it thinned."""
    step = max(1, len(names) // LOOKED_AT)
    found = [np.empty(0)]
    for name in names[::step]:
        with raster.opened(str(tree.path_of(folder, name))) as file:
            if number > file.count:
                continue
            high, wide = min(file.height, SIDE), min(file.width, SIDE)
            middle = Window((file.width - wide) // 2, (file.height - high) // 2, wide, high)
            found.append(file.read(number, window=middle).ravel().astype(float))
    every = np.concatenate(found)
    return every[np.isfinite(every)]
