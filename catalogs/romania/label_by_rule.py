"""Label ground that was laid open, by rule: no person has looked at these labels.

A pixel is open in a year if it lies in or beside forest (`TREES`), and its vegetation index in that summer is
below `OPEN`. Groups of fewer than `LEAST` open pixels are dropped. Once open it stays labelled, because grass
covers a clear-cut a year later, and the trees are still gone.

The summer's index of a pixel is the 60th percentile of its clear dates from June to September: thin clouds
that the scene classes miss lower the index, and a median would keep some of them.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import xarray as xr
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape

FOLDER = Path(__file__).parent
CUBE = FOLDER / "images/sentinel2_cube_subset_romania_10m.nc"
TREE_COVER = FOLDER / "images/tree_cover_density_2018_romania.tif"
LABELS = FOLDER / "annotations/cleared.parquet"

YEARS = range(2016, 2021)
SUMMER = range(6, 10)
CLEAR = (4, 5, 6, 7)
"""Scene classes: vegetation, bare, water, unclassified."""
MARGIN = 2
"""Pixels around unclear ones that do not count."""
PERCENTILE = 60
OPEN = 0.76
"""NDVI; closed forest here has 0.84 to 0.92 in summer."""
TREES = 50
"""Per cent of tree cover in 2018, of the pixel of 20 m or one of its eight neighbours: clear-cuts of 2016 to
2018 had lost their own by then."""
LEAST = 4
"""Pixels of the smallest group that is labelled."""


def summer_index(cube: xr.Dataset, year: int) -> NDArray[np.float64]:
    """Return the NDVI (y, x) of a year's summer, NaN where no date is clear."""
    dates = cube.isel(time=(cube.time.dt.year == year) & cube.time.dt.month.isin(list(SUMMER)))
    near, red = (dates[band].to_numpy().astype(float) for band in ("B8", "B4"))
    unclear = ~np.isin(dates.SCL.to_numpy(), CLEAR)
    grown = np.array([ndimage.binary_dilation(one, iterations=MARGIN) for one in unclear], bool)
    index = np.where(grown, np.nan, (near - red) / np.maximum(near + red, 1))
    found = np.full(index.shape[1:], np.nan)
    seen = np.isfinite(index).any(axis=0)
    found[seen] = np.nanpercentile(index[:, seen], PERCENTILE, axis=0)
    return found


def cleared(index: NDArray[np.float64], tree_cover: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where ground has been laid open up to each year (year, y, x).

    Parameters
    ----------
    index
        NDVI of each summer (year, y, x); NaN, which was not seen, is not open.
    tree_cover
        Per cent (y, x), on pixels twice as large.
    """
    forest = ndimage.maximum_filter(tree_cover, 3).repeat(2, axis=0).repeat(2, axis=1) >= TREES
    is_open = np.array([_without_specks((one < OPEN) & forest) for one in index])
    return np.logical_or.accumulate(is_open, axis=0)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    groups, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, groups, range(count + 1))
    return mask & (sizes[groups] >= LEAST)


def outlines(masks: NDArray[np.bool_], left: float, top: float) -> gpd.GeoDataFrame:
    """Return the outlines of masks (year, y, x) in EPSG:3035, with pixels of 10 m from a corner on.

    Each of `YEARS` has two rows, what is open and the whole image as seen: without the second a site with
    nothing open would count as not labelled.
    """
    to_ground = rasterio.Affine(10, 0, left, 0, -10, top)
    height, width = masks.shape[1:]
    whole = shapely.box(left, top - 10 * height, left + 10 * width, top)
    is_open = [
        shapely.union_all([shape(one) for one, _ in shapes(mask.astype("uint8"), mask, transform=to_ground)])
        for mask in masks
    ]
    rows = {
        "year": [*YEARS, *YEARS],
        "kind": ["open"] * len(YEARS) + ["no mine"] * len(YEARS),
        "geometry": [*is_open, *[whole] * len(YEARS)],
    }
    return gpd.GeoDataFrame(rows, crs=3035)


def main() -> None:
    """Label the cube's years, and write the outlines."""
    with xr.open_dataset(CUBE) as cube, rasterio.open(TREE_COVER) as cover:
        index = np.stack([summer_index(cube, year) for year in YEARS])
        masks = cleared(index, cover.read(1).astype(float))
        table = outlines(masks, float(cube.x[0]) - 5, float(cube.y[0]) + 5)
    LABELS.parent.mkdir(exist_ok=True)
    table.to_parquet(LABELS)
    areas = ", ".join(f"{year} {mask.sum() / 100:.1f}" for year, mask in zip(YEARS, masks, strict=True))
    print(f"{LABELS} has the labels, by rule, not by hand; hectares laid open since 2016: {areas}")


if __name__ == "__main__":
    main()
