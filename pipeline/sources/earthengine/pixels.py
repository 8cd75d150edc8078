"""Pixels of one Earth Engine image on its own grid, in requests that the service accepts."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import ee
import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench.errors import WorkError
from pipeline.sources.earthengine.login import calling

LARGEST_REQUEST = 48 * 2**20
"""Bytes of an answer, uncompressed, that getPixels and computePixels give at most."""
LARGEST_SIDE = 32_768
"""Pixels."""
PREFERRED_REQUEST = 16 * 2**20
"""Bytes asked for at a time: a third of the limit, so that a failed one costs little."""
TRIES = 3
"""For an answer that is whole by its length and yet not the pixels asked for."""


def parts(area: GeoBox, pixel_bytes: int) -> Iterator[tuple[slice, slice]]:
    """`area` in row and column slices that fit into one request each."""
    columns = min(area.width, LARGEST_SIDE, max(1, PREFERRED_REQUEST // pixel_bytes))
    rows = min(area.height, LARGEST_SIDE, max(1, PREFERRED_REQUEST // (pixel_bytes * columns)))
    for top in range(0, area.height, rows):
        for left in range(0, area.width, columns):
            yield slice(top, min(top + rows, area.height)), slice(left, min(left + columns, area.width))


def requests(area: GeoBox, pixel_bytes: int) -> int:
    """How many requests reading `area` takes."""
    return sum(1 for _ in parts(area, pixel_bytes))


def get(asset: str, crs: str, area: GeoBox, bands: Sequence[str], pixel_bytes: int) -> NDArray[Any]:
    """(band, y, x) of the image `asset` on `area`, as the service has them (masked pixels are 0).

    `crs` is the grid's code in the asset's own words. Never less than all pixels asked for:
    WorkError otherwise.
    """

    def one(part: tuple[slice, slice]) -> NDArray[Any]:
        request = {
            "assetId": asset,
            "bandIds": list(bands),
            "grid": described(area[part], crs),
            "fileFormat": "NPY",
        }
        return _asked(lambda: ee.data.getPixels(request), area[part].shape, bands, asset)

    return assembled(area, list(parts(area, pixel_bytes)), one)


def compute(image: Any, area: GeoBox, bands: Sequence[str], pixel_bytes: int, what: str) -> NDArray[Any]:
    """(band, y, x) of a computed image on `area`."""

    def one(part: tuple[slice, slice]) -> NDArray[Any]:
        grid = described(area[part], str(area.crs))
        request = {"expression": image, "bandIds": list(bands), "grid": grid, "fileFormat": "NPY"}
        return _asked(lambda: ee.data.computePixels(request), area[part].shape, bands, what)

    return assembled(area, list(parts(area, pixel_bytes)), one)


def assembled(area: GeoBox, pieces: list[tuple[slice, slice]], one: Any) -> NDArray[Any]:
    """The pieces that `one` gives, put together; several are asked for at once."""
    if len(pieces) == 1:
        return one(pieces[0])
    with ThreadPoolExecutor(len(pieces)) as pool:
        jobs = [pool.submit(copy_context().run, one, piece) for piece in pieces]
        found = [job.result() for job in jobs]
    whole = np.zeros((len(found[0]), *area.shape), found[0].dtype)
    for (rows, columns), pixels in zip(pieces, found, strict=True):
        whole[:, rows, columns] = pixels
    return whole


def described(area: GeoBox, crs: str) -> dict[str, Any]:
    """A grid in Earth Engine's terms."""
    t = area.transform
    return {
        "dimensions": {"width": area.width, "height": area.height},
        "affineTransform": {
            "scaleX": t.a, "shearX": t.b, "translateX": t.c,
            "shearY": t.d, "scaleY": t.e, "translateY": t.f,
        },
        "crsCode": crs,
    }  # fmt: skip


def _asked(call: Any, shape: Sequence[int], bands: Sequence[str], what: str) -> NDArray[Any]:
    reason = ""
    for _ in range(TRIES):
        content = calling(call, what)
        try:
            return _pixels(content, shape, bands)
        except ValueError as error:
            reason = str(error)
    raise WorkError(f"{what}: Earth Engine sent no pixels as asked for, {TRIES} times ({reason}).")


def _pixels(content: bytes, shape: Sequence[int], bands: Sequence[str]) -> NDArray[Any]:
    """(band, y, x) from an answer in NPY form. ValueError where it is anything else."""
    try:
        table = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise ValueError(f"{len(content)} bytes that are no array") from None
    if not isinstance(table, np.ndarray) or table.shape != tuple(shape):
        raise ValueError(f"{getattr(table, 'shape', 'no')} pixels where {tuple(shape)} were asked for")
    if table.dtype.names is None or set(table.dtype.names) != set(bands):
        raise ValueError(f"bands {table.dtype.names} where {tuple(bands)} were asked for")
    return np.stack([table[band] for band in bands])
