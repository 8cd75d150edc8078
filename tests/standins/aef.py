"""Source Cooperative's copy of the Satellite Embedding, made up from the images that the stand-in for Earth
Engine has (`tests.standins.embeddings`), as files for `tests.standins.cogs` to serve.

    aef_index.parquet               GeoParquet, a row per COG, with the columns of the real one
    <year>/<zone>/<id>-<y>-<x>.tiff int8, 64 bands that lie apart, nodata -128, bottom-up

An image is cut into a northern and a southern COG. As in the real archive some ground is in several: the two
share rows, the neighbouring zone has COGs of the same place (here with other numbers, and first by name), and
one listed COG is not there.
"""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from minebench.cube import encoding
from pipeline.geo import geodesy
from tests.standins import archive, embeddings

PREFIX = "s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual"
SHARED = 8
"""Rows that the northern and the southern COG of an image share."""
OTHER = 77
"""The number of every band in the neighbouring zone's COGs."""
BLOCK = 128
MISSING = "xzzzzzzzzzzzzzzzz-0000000000-0000000000"
"""Id of the COG that is listed and not there."""


def write(folder: Path, built: Path, masked_rows: int = 0, first: int = 2021) -> None:
    """Write the COGs of all images of the synthetic archive from the year `first` on, and their index."""
    items = {item["id"]: item for item in archive.items(built)}
    images = sorted(embeddings.images(items, masked_rows).items())
    rows: list[dict[str, Any]] = []
    for rank, image in enumerate((image for _, image in images if image["year"] >= first), 1):
        own = GeoBox(image["shape"], image["transform"], image["crs"])
        seen = embeddings.window(image, own.transform, tuple(own.shape))
        vectors = np.stack([seen.bands[band] for band in encoding.BANDS])
        numbers = np.where(seen.seen, encoding.coded(vectors), -128).astype(np.int8)
        north, south = slice(0, own.height // 2 + SHARED), slice(own.height // 2, own.height)
        for y, part in ((0, north), (8192, south)):
            name = f"x{rank:016d}-{y:010d}-0000000000"
            rows.append(put(folder, name, image["year"], numbers[:, part], own[part]))
        if rank == 1:
            rows.append({**rows[-1], "path": rows[-1]["path"].replace(name, MISSING)})
            rows.append(beside(folder, image["year"], own))
    index(rows).to_parquet(folder / "aef_index.parquet")


def beside(folder: Path, year: int, own: GeoBox) -> dict[str, Any]:
    """A COG of the same ground in the next zone; return its row of the index."""
    grid = own.to_crs(f"EPSG:{own.crs.epsg + 1}", resolution=10).pad(8)
    numbers = np.full((64, *grid.shape), OTHER, np.int8)
    return put(folder, f"x{0:016d}-0000000000-0000000000", year, numbers, grid)


def put(
    folder: Path, name: str, year: int, numbers: np.ndarray, grid: GeoBox, bottom_up: bool = True
) -> dict[str, Any]:
    """Write a COG (band, y, x), north up in memory; return its row of the index."""
    code = grid.crs.epsg
    zone = f"{code % 100}{'N' if code < 32700 else 'S'}"
    path = folder / str(year) / zone / f"{name}.tiff"
    path.parent.mkdir(parents=True, exist_ok=True)
    t = grid.transform
    transform = Affine(t.a, 0, t.c, 0, -t.e, t.f + t.e * grid.height) if bottom_up else t
    profile = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": len(numbers),
        "dtype": "int8", "nodata": -128, "crs": str(grid.crs), "transform": transform, "interleave": "band",
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "zstd", "zstd_level": 1,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        # Names first: so the directory stays before the blocks, as in a COG.
        file.descriptions = encoding.BANDS[: len(numbers)]
        file.write(numbers[:, ::-1] if bottom_up else numbers)
    west, south, east, north = grid.boundingbox.bbox
    outline = geodesy.to_lonlat(shapely.box(west, south, east, north), code)
    around = dict(
        zip(("wgs84_west", "wgs84_south", "wgs84_east", "wgs84_north"), outline.bounds, strict=True)
    )
    return {
        "geom": outline, "crs": f"EPSG:{code}", "path": f"{PREFIX}/{year}/{zone}/{name}.tiff", "year": year,
        "utm_zone": zone, "utm_west": west, "utm_south": south, "utm_east": east, "utm_north": north,
        **around,
    }  # fmt: skip


def index(rows: list[dict[str, Any]]) -> gpd.GeoDataFrame:
    """The index of these rows, with the columns of the real one."""
    numbered = [{"fid": number, **row} for number, row in enumerate(rows, 1)]
    return gpd.GeoDataFrame(numbered, geometry="geom", crs="OGC:CRS84")
