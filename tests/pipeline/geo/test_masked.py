"""No data by a file's mask or alpha band, copied or resampled; black is a number."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from pipeline.geo import raster

PLACE = Affine(10, 0, 4e5, 0, -10, 5e6)
SHAPE = (24, 24)
GRIDS = {
    "copied": GeoBox(SHAPE, PLACE, "EPSG:32633"),
    "resampled": GeoBox(SHAPE, Affine(10, 0, 4e5 + 3, 0, -10, 5e6 - 3), "EPSG:32633"),
}


def written(path: Path, kind: str) -> Path:
    """Pixels of 50 with a black corner; no data from row 16 on, as `kind` says it. Without a kind there is a
    fourth band, which GDAL takes for alpha, with 0 on the right."""
    pixels = np.full((3, *SHAPE), 50, np.uint8)
    pixels[:, :8, :8] = 0
    seen = np.full(SHAPE, 255, np.uint8)
    seen[16:] = 0
    fourth = np.full(SHAPE, 80, np.uint8)
    fourth[:, 12:] = 0
    alpha = {"alpha": [seen], "": [fourth]}.get(kind, [])
    more = {"photometric": "RGB", "alpha": "YES"} if kind == "alpha" else {}
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "dtype": "uint8",
               "crs": "EPSG:32633", "transform": PLACE, "count": 3 + len(alpha), **more}  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(np.stack([*pixels, *alpha]))
        if kind == "mask":
            file.write_mask(seen)
    return path


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_a_mask_says_where_there_is_no_data(tmp_path: Path, kind: str, grid: str) -> None:
    path = str(written(tmp_path / "x.tif", kind))
    pixels = raster.read_bands(path, [1, 2, 3], GRIDS[grid], Resampling.bilinear, None)
    numbers = raster.read_numbers(path, [1, 2, 3], GRIDS[grid], Resampling.bilinear, None)
    assert [int(pixels[0, y, 3]) for y in (3, 12, 20)] == [1, 50, 0]  # a valid 0 is kept as 1
    assert numbers[0, 3, 3] == 0
    assert np.isnan(numbers[:, 18:]).all()
    assert not np.isnan(numbers[:, :14, :22]).any()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("kind", "nodata"), [("mask", None), ("alpha", None), ("mask", 50), ("none", 50)])
def test_black_of_a_picture_is_told_from_no_data(
    tmp_path: Path, kind: str, nodata: int | None, grid: str
) -> None:
    path = str(written(tmp_path / "x.tif", kind))
    pixels = raster.read_picture(path, [1, 2, 3], GRIDS[grid], Resampling.bilinear, nodata)
    assert pixels.dtype == np.uint16
    # Numbers of pictures are one higher: black is 1, and 0 no data.
    assert [int(pixels[0, y, 3]) for y in (3, 12)] == [1, 51 if nodata is None else 0]
    assert (pixels[:, 18:] == 0).all()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("indexes", [[1, 2, 3], [1, 2, 3, 4]])
def test_a_fourth_band_that_gdal_takes_for_alpha_hides_nothing(
    tmp_path: Path, indexes: list[int], grid: str
) -> None:
    path = str(written(tmp_path / "x.tif", ""))
    picture = raster.read_picture(path, indexes, GRIDS[grid], Resampling.bilinear, None)
    assert [int(value) for value in picture[:, 12, 18]] == [51, 51, 51, 1][: len(indexes)]
    pixels = raster.read_bands(path, indexes, GRIDS[grid], Resampling.bilinear, None)
    assert [int(value) for value in pixels[:3, 12, 18]] == [50] * 3
    numbers = raster.read_numbers(path, indexes, GRIDS[grid], Resampling.bilinear, None)
    assert [float(value) for value in numbers[:, 12, 18]] == [50, 50, 50, 0][: len(indexes)]
