"""Read predictions of `minebench predict`.

They are one STAC collection per run, with one item and GeoTIFF per site and date or pair of dates.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

NODATA, FULL = 255, 100
"""Values in the files (uint8) of no clear observation and of a probability of 1."""


def read(folder: str, site_id: str, content: Callable[[str], bytes]) -> xr.DataArray:
    """Return a run's predictions for a site.

    Parameters
    ----------
    folder
        Path or address of the run's predictions.
    site_id
        Id of the site.
    content
        Function that returns the bytes of a path or address.

    Returns
    -------
    xarray.DataArray
        Probability (period, y, x) float32 from 0 to 1, NaN without a clear observation.

    Raises
    ------
    FileNotFoundError
        If the run has no predictions for the site.
    """
    import xarray as xr
    from rasterio.io import MemoryFile

    links = json.loads(content(f"{folder}/collection.json"))["links"]
    hrefs = [link["href"].removeprefix("./") for link in links if link["rel"] == "item"]
    images, names = [], []
    for href in sorted(href for href in hrefs if href.split("/")[0] == site_id):
        item = json.loads(content(f"{folder}/{href}"))
        file = item["assets"]["probability"]["href"].removeprefix("./")
        with MemoryFile(content(f"{folder}/{site_id}/{file}")) as memory, memory.open() as raster:
            images.append(raster.read(1))
            crs, transform = raster.crs, raster.transform
        names.append("_".join(item["properties"]["minebench:periods"]))
    if not images:
        raise FileNotFoundError(folder)
    pixels = np.stack(images)
    shares = np.where(pixels == NODATA, np.float32(np.nan), pixels.astype(np.float32) / np.float32(FULL))
    rows, columns = np.arange(pixels.shape[1]) + 0.5, np.arange(pixels.shape[2]) + 0.5
    coords = {
        "period": names,
        "y": transform.f + transform.e * rows,
        "x": transform.c + transform.a * columns,
    }
    array = xr.DataArray(shares, coords, ("period", "y", "x"), name="probability", attrs={"units": "1"})
    if crs is not None:
        attributes = {"crs_wkt": crs.to_wkt(), "GeoTransform": " ".join(map(str, transform.to_gdal()))}
        array = array.assign_coords(spatial_ref=xr.Variable((), 0, attributes))
        array.encoding["grid_mapping"] = "spatial_ref"
    return array
