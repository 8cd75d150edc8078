"""Clouds and their shadows for images without a mask, by a trained network: ukis-csmask.

Its weights come with the package. Wieland, M., Fichtner, F., Martinis, S. (2022), UKIS-CSMASK: A Python
package for multi-sensor cloud and cloud shadow segmentation,
https://doi.org/10.5194/isprs-archives-XLIII-B3-2022-217-2022
"""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench import bands as band_names
from minebench.errors import InputError
from pipeline.sensors import classes
from pipeline.sources.protocol import Scene, Source

Model = Literal["ukis-csmask-l1c", "ukis-csmask-l2a"]
"""For reflectance at the top of the atmosphere, and at the surface."""
COLOURS = {"blue": "blue", "green": "green", "red": "red", "nir": "nir"}
SHORTWAVE = {"swir1": "swir16", "swir2": "swir22"}
"""Our colours, and the package's words for them."""
SIDE = 256
"""Pixels of the network's tiles: smaller images give it too little to go by."""
FOUND = np.array([classes.CLEAR, classes.CLOUD, classes.SHADOW], np.uint8)
"""Classes by the network's numbers."""
UNIT = np.float32(1e-4)


def words_of(names: Iterable[str]) -> dict[str, str]:
    """Return the package's word for each band that the network takes. InputError where none of the names is
    known as a colour that it needs."""
    listed = list(names)
    colours = band_names.meaning(listed).colours
    by_colour = {colour: name for name, colour in zip(listed, colours, strict=True) if colour}
    if "nir08" in by_colour:  # Landsat's only near infrared
        by_colour.setdefault("nir", by_colour["nir08"])
    if missing := [colour for colour in COLOURS if colour not in by_colour]:
        raise InputError(
            f"source.clouds: none of the bands {', '.join(listed)} is known as {missing[0]}, which the "
            "network needs: name it so in source.bands."
        )
    wanted = COLOURS | (SHORTWAVE if set(SHORTWAVE) <= set(by_colour) else {})
    return {by_colour[colour]: word for colour, word in wanted.items()}


def bands_for(model: Model | None, names: Iterable[str]) -> dict[str, str]:
    """Return `words_of` the bands for a network; nothing without one. InputError where the package is not
    there."""
    if model is None:
        return {}
    try:
        import ukis_csmask.mask  # noqa: F401
    except ImportError:
        raise InputError(
            "source.clouds needs a further package: pip install 'ukis-csmask[cpu]' (or 'minebench[clouds]')."
        ) from None
    return words_of(names)


def classes_of(
    source: Source, scene: Scene, grid: GeoBox, model: Model, words: dict[str, str]
) -> NDArray[np.uint8]:
    """Return the classes (1, y, x) of a scene on a grid, by its bands there and around."""
    area, window = around(grid)
    pixels = source.read(scene, list(words), area)
    return classified(pixels, words.values(), model)[np.newaxis, *window]


def around(grid: GeoBox) -> tuple[GeoBox, tuple[slice, slice]]:
    """Return a grid that is large enough for the network, and where the given one lies in it."""
    down, across = (max(0, -(-(SIDE - side) // 2)) for side in grid.shape)
    window = slice(down, down + grid.height), slice(across, across + grid.width)
    return grid.pad(across, down), window


def classified(pixels: NDArray[np.uint16], words: Iterable[str], model: Model) -> NDArray[np.uint8]:
    """Return the classes (y, x) of an image.

    Parameters
    ----------
    pixels
        Reflectance x 10000 (band, y, x), 0 where there is no data.
    words
        The bands as the package calls them (`words_of`).
    model
        Which of its networks.
    """
    from ukis_csmask.mask import CSmask

    image: NDArray[Any] = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)).astype(np.float32) * UNIT
    # One thread: sites are worked on at once, and results do not depend on how many there are.
    found = CSmask(
        image, list(words), product_level=model[-3:], intra_op_num_threads=1, inter_op_num_threads=1,
        providers=["CPUExecutionProvider"],
    ).csm[..., 0]  # fmt: skip
    return np.where((pixels > 0).all(axis=0), FOUND[found], np.uint8(classes.NODATA))
