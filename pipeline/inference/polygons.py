"""What a run predicted as outlines with dates and areas.

    predictions/<run>/<site_id>/footprints.parquet    a site's
    predictions/<run>/footprints.parquet              all of them, GeoParquet in EPSG:4326

A row is all that was predicted of a site on a date (`t1`), or as changed between two (`t1`, `t2`): `kind`
footprint or change, the threshold, its area, and the area that was seen.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import tables
from pipeline.geo import geodesy, raster
from pipeline.sites.site import Site

FILE = "footprints.parquet"
COLUMNS = {
    "site_id": "str", "kind": "str", "t1": "str", "t2": "str", "threshold": "float64", "area_km2": "float64",
    "known_km2": "float64",
}  # fmt: skip


def of_site(
    site: Site, kind: str, dates: list[tuple[str, str]], found: NDArray[np.float32], threshold: float
) -> gpd.GeoDataFrame:
    """Probabilities (K, H, W), NaN where unknown, as rows, one a map; `dates` are the two periods of each,
    twice the same for a footprint."""
    rows, outlines = [], []
    for (t1, t2), probability in zip(dates, found, strict=True):
        mask = probability >= threshold
        known = int((~np.isnan(probability)).sum())
        later = t2 if t2 != t1 else ""
        rows.append(
            (site.site_id, kind, t1, later, threshold, mask.sum() * site.pixel_km2, known * site.pixel_km2)
        )
        outlines.append(raster.outline(mask, site.grid.transform))
    if site.epsg:
        outlines = list(geodesy.project_each(outlines, site.epsg, 4326))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return gpd.GeoDataFrame(table, geometry=outlines, crs=4326 if site.epsg else None)


def join(folder: Path) -> Path | None:
    """Put the sites' tables of a run into one; None where there is none."""
    parts = [gpd.read_parquet(path) for path in sorted(folder.glob(f"*/{FILE}"))]
    if not parts:
        return None
    tables.write(gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=parts[0].crs), folder / FILE)
    return folder / FILE
