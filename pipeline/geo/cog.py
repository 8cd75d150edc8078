"""Writing Cloud-Optimised GeoTIFFs."""

from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

Colours = dict[int, tuple[int, int, int, int]]


def write(
    path: Path, pixels: NDArray[Any], area: GeoBox, nodata: int, colours: Colours | None = None
) -> None:
    """Write (band, y, x) pixels, deflate with predictor, tiles of 256; a colour table makes a
    single band a paletted one."""
    profile = {
        "driver": "COG", "height": area.height, "width": area.width, "count": len(pixels),
        "dtype": pixels.dtype, "crs": str(area.crs) if area.crs else None,
        "transform": area.transform, "nodata": nodata,
        "compress": "deflate", "level": 1, "predictor": "NO" if colours else "STANDARD", "blocksize": 256,
        "overview_resampling": "nearest",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        if colours:
            file.write_colormap(1, colours)
