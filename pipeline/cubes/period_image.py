"""One period's image from its scenes: mosaicked by day, then median, medoid or the scene as seen."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from minebench.errors import NotMadeYet
from pipeline.core import eight_bits
from pipeline.cubes import composite
from pipeline.cubes.days import Day
from pipeline.recipe import Recipe
from pipeline.scenes import selection
from pipeline.sensors.classes import NODATA, ClearRule


def compose(
    days: list[Day], reader: Any, recipe: Recipe, shape: tuple[int, int], threads: int
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """One period's image (band, y, x) and its count of clear observations (y, x).

    `reader` reads scenes as `pipeline.cubes.kept_scenes.KeptScenes` does. A composite is 0 where
    nothing was clear; a least cloudy scene keeps its pixels as seen and says in the count where they
    were clear. Of pictures `reader` gives numbers one higher (`pipeline.core.eight_bits`).
    """
    rule, bands = recipe.selection, recipe.sensor.bands
    try:
        with ThreadPoolExecutor(threads) as pool:
            owners = list(pool.map(lambda day: _looked_at(day, reader, rule.clear), days))
        if rule.policy == "composite" and rule.composite == "medoid":
            image, clear = _medoid(days, owners, reader, bands, shape)
        else:
            image, clear = _median(days, owners, reader, recipe, shape, threads)
    except RasterioError as error:
        raise NotMadeYet(f"A kept scene cannot be read: {error}; run `minebench fetch`.") from None
    if rule.policy == "composite":
        image[:, clear == 0] = 0
    if recipe.sensor.encoding.is_picture:
        return eight_bits.lowered(image), clear
    return image.astype(recipe.sensor.encoding.held, copy=False), clear


def _looked_at(
    day: Day, reader: Any, rule: ClearRule
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """A day's files, checked and opened once before threads share them; its owners and clear pixels."""
    for scene in day.scenes:
        reader.look_up(scene)
    return owner_and_clear([reader.classes(scene) for scene in day.scenes], rule)


def owner_and_clear(
    classes: list[NDArray[np.uint8] | None], rule: ClearRule
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Which granule of a day gives each pixel, and whether it is clear there (mask grid).

    The first granule that is clear at a pixel gives it; where none is, the first with data.
    None without scene classes.
    """
    if classes[0] is None:
        return None, None
    known = [c for c in classes if c is not None]
    if len(known) == 1:
        clear = selection.clear_pixels(known[0], rule)
        return np.zeros(clear.shape, np.uint8), clear.astype(np.uint8)
    clear = np.stack([selection.clear_pixels(c, rule) for c in known])
    rank = np.where(clear, 2, np.stack([(c != NODATA).astype(np.uint8) for c in known]))
    owner = rank.argmax(axis=0).astype(np.uint8)
    return owner, np.asarray(clear.any(axis=0), np.uint8)


def _median(
    days: list[Day],
    owners: list[Any],
    reader: Any,
    recipe: Recipe,
    shape: tuple[int, int],
    threads: int,
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    bands, as_seen = recipe.sensor.bands, recipe.selection.policy == "least_cloudy"
    image = np.empty((len(bands), *shape), np.uint16)
    kept = _clear_stack(owners)

    def one(index: int) -> NDArray[np.uint8]:
        stack = _stack(days, owners, reader, bands[index], shape)
        clear = _has_data(stack) if kept is None else kept
        if as_seen:
            image[index], _ = composite.median(stack, np.ones_like(clear), shape)
            return composite.median(stack, clear, shape)[1]
        image[index], count = composite.median(stack, clear, shape)
        return count

    with ThreadPoolExecutor(threads) as pool:
        counts = pool.map(one, range(len(bands)))
        clear = next(counts).copy()
        for count in counts:
            np.minimum(clear, count, out=clear)
    return image, clear


def _medoid(
    days: list[Day], owners: list[Any], reader: Any, bands: tuple[str, ...], shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    stacks = {band: _stack(days, owners, reader, band, shape) for band in bands}
    fine = [band for band in bands if stacks[band].shape[1:] == shape]
    coarse = [band for band in bands if band not in fine]
    join = partial(np.stack, axis=1)
    empty, kept = np.zeros((len(days), 0, 2, 2), np.uint16), _clear_stack(owners)
    image, clear = composite.medoid(
        join([stacks[b] for b in fine]) if fine else empty,
        join([stacks[b] for b in coarse]) if coarse else empty,
        _has_data(stacks[bands[0]]) if kept is None else kept,
        shape,
    )
    order = [(fine + coarse).index(band) for band in bands]
    return image[order], clear


def _clear_stack(owners: list[Any]) -> NDArray[np.uint8] | None:
    """(date, y, x) clear masks; None without scene classes: then every pixel with data is clear."""
    return None if owners[0][1] is None else np.stack([clear for _, clear in owners])


def _has_data(stack: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return (stack > 0).astype(np.uint8)


def _stack(
    days: list[Day], owners: list[Any], reader: Any, band: str, shape: tuple[int, int]
) -> NDArray[np.uint16]:
    """One band of all days (date, y, x), in the pixel size it is kept in. Scenes read again for
    co-registration are kept on the target grid: then all dates come to it."""
    sizes = {reader.shape(scene, band) for day in days for scene in day.scenes}
    are_alike = len(sizes) == 1
    size = sizes.pop() if are_alike else shape
    stack = np.empty((len(days), *size), np.uint16)
    for day, (owner, _), image in zip(days, owners, stack, strict=True):
        if are_alike and len(day.scenes) == 1:
            reader.band(day.scenes[0], band, out=image)
        else:
            layers = (reader.band(scene, band) for scene in day.scenes)
            image[:] = _mosaic([_sized(layer, size) for layer in layers], owner)
    return stack


def _sized(layer: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return layer if layer.shape == size else composite.upsampled(layer, size)


def _mosaic(layers: list[NDArray[Any]], owner: NDArray[np.uint8] | None) -> NDArray[np.uint16]:
    """A day's granules, each (y, x), as one image."""
    if len(layers) == 1:
        return layers[0].astype(np.uint16, copy=False)
    if owner is None:
        image = layers[0].copy()
        for layer in layers[1:]:
            np.copyto(image, layer, where=image == 0)
        return image.astype(np.uint16)
    which = _fitted(owner, layers[0].shape)
    image = layers[0].astype(np.uint16)
    for number, layer in enumerate(layers[1:], 1):
        np.copyto(image, layer, where=which == number)
    return image


def _fitted(owner: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The owner of each pixel in a band's size: fine, the mask's own, or coarse with a halo."""
    if owner.shape == shape:
        return owner
    if shape == (owner.shape[0] + 2, owner.shape[1] + 2):
        return np.pad(owner, 1, mode="edge")
    return owner.repeat(2, axis=0).repeat(2, axis=1)
