"""What a NetCDF or Zarr cube of a user's own, or a folder of cubes, holds."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling

from minebench.errors import InputError
from minebench.text import counted
from pipeline.geo import grid
from pipeline.image_folder import band_names, mask_guess, number_guess, products, seasons
from pipeline.image_folder.contents import LIFTED_SINCE, Images, crs_name, rounded, unsure
from pipeline.image_folder.number_guess import Scale
from pipeline.sources.local import image_cubes, own_numbers
from pipeline.sources.local.image_cubes import Cube

SIDE = 256
LOOKED_AT = 12
"""Times, at most, whose numbers are looked at."""


def look(path: Path) -> Images:
    """The bands, grid and dates of cubes. InputError where there are none, or no recipe can name them."""
    paths = image_cubes.below(path)
    if not paths:
        raise InputError(
            f"--images: {path} holds no images (GeoTIFF, JPEG 2000, or these in zips) and no cubes "
            f"(NetCDF, Zarr)."
        )
    found = [image_cubes.described(one) for one in paths]
    first = found[0]
    for other in found[1:]:
        if list(other.layers) != list(first.layers):
            raise InputError(
                f"--images: {first.path} and {other.path.name} have other layers: make them alike."
            )
    bands, masks = mask_guess.apart(dict.fromkeys(first.layers, 1))
    mask = mask_guess.best(
        [mask_guess.of_numbers(w, w, _numbers(first, w, Resampling.nearest)) for w in masks]
    )
    scale, dtype = _scale(found, list(bands))
    days = sorted({moment.date() for cube in found for moment in cube.times})
    outlines = [shapely.box(*cube.grid.geographic_extent.boundingbox.bbox) for cube in found]
    asks = (
        products.are_sentinel2(None, list(bands), [str(mask.word)] if mask else [])
        and max(days) >= LIFTED_SINCE
        and not (scale and scale.offset)
    )
    offset = (
        "since January 2022 Sentinel-2's numbers may have an offset of 1000, and cubes do not say so: "
        "pixels are asked, and fetch says what they leave undecided"
    )
    named = {products.canonical(word) if asks else word: word for word in bands}
    pixels = [math.sqrt(grid.pixel_m2(cube.grid, abs(cube.grid.resolution.x))) for cube in found]
    found_images = Images(
        path=path, pattern="", dates=days,
        layout=f"{counted(len(found), 'cube')} of {', '.join(first.layers)}",
        years=seasons.of(days, [str(day) for day in days], outlines), bands=dict(named),
        about_bands="the cube's own names", rgb=band_names.shown(list(named)), dtype=dtype,
        resolution=rounded(min(pixels)), scale=scale, mask=mask,
        crs=sorted({crs_name(str(cube.grid.crs)) for cube in found}), outlines=outlines,
        offset=offset if asks else "",
        left_out=[word for word in masks if not mask or word != mask.word],
    )  # fmt: skip
    return replace(found_images, unsure=unsure(found_images))


def _scale(found: list[Cube], bands: list[str]) -> tuple[Scale | None, str]:
    """The scale of the cubes' numbers, and the type of the pipeline's cube."""
    layer = found[0].layers[bands[0]]
    sets = [(cube.layers[word].dtype, cube.layers[word].is_scaled) for cube in found for word in bands]
    if len(set(sets)) > 1:
        raise InputError(
            f"--images: the layers of {found[0].path} are of several types: {sets[0]}, {sets[-1]}."
        )
    numbers = {cube.path.name: _numbers(cube, bands[0], Resampling.nearest) for cube in found}
    scales = {
        name: number_guess.Numbers(
            layer.dtype, _guess(own, layer.dtype, layer.is_scaled, name),
            float(np.percentile(own, 99)) if own.size else math.nan,
        )
        for name, own in numbers.items()
    }  # fmt: skip
    scale = number_guess.of_all(scales, str(found[0].path.parent))
    return scale, layer.dtype if scale is None else "uint16"


def _guess(numbers: NDArray[np.float64], dtype: str, is_scaled: bool, name: str) -> Scale | None:
    if dtype in own_numbers.READY and not is_scaled:
        return None
    return number_guess.of_sample(numbers, "float32" if is_scaled else dtype, name, has_nodata=False)


def _numbers(cube: Cube, word: str, resampling: Resampling) -> NDArray[np.float64]:
    """Numbers of a layer's middle at some of the cube's times, those with data."""
    height, width = cube.grid.shape
    high, wide = min(height, SIDE), min(width, SIDE)
    top, left = (height - high) // 2, (width - wide) // 2
    middle = cube.grid[top : top + high, left : left + wide]
    places = range(0, len(cube.times), max(1, len(cube.times) // LOOKED_AT))
    every = np.concatenate([cube.read([word], place, middle, resampling).ravel() for place in places])
    return every[np.isfinite(every)].astype(float)
