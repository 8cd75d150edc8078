"""Read the index of the Satellite Embedding's COGs: a GeoParquet file with one row per COG.

Its columns (fid, geom, crs, path, year, utm_zone, utm_west, utm_south, utm_east, utm_north, wgs84_west, ...)
are those of Google's own index. It has about 300,000 rows and 80 MB. The column of outlines is not read: the
UTM bounds say exactly where a COG lies, also across the antimeridian.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError
from pipeline.geo import geodesy, raster
from pipeline.geo.remote import Opener, RangeFile, Signer
from pipeline.sensors.alphaearth import PIXEL_M

BOUNDS = ("utm_west", "utm_south", "utm_east", "utm_north")
COLUMNS = ("path", "year", "crs", *BOUNDS)
NAME = re.compile(r"(?P<year>\d{4})/(?P<zone>\d{1,2}[NS])/(?P<id>[\w-]+)\.tiff?")
"""A COG's path below the folder that contains the years' folders."""
ZONES_ASIDE = 2
"""UTM zones on either side of a place's own zone that are searched for COGs that cover it. In the far north
zones are narrower than a COG, and some have no COGs of their own."""
PLAY_M = 1.0
"""Tolerance for the error of projecting an outline, metres."""


@dataclass(frozen=True)
class Cog:
    """A COG of one year: its path (see NAME) and its grid, north up."""

    name: str
    grid: GeoBox


class CogIndex:
    """The index in memory, about 60 MB for the public one, with its rows grouped by UTM zone.

    `digest` is the SHA-256 of the Parquet footer, and differs where the file differs.
    """

    def __init__(self, table: pa.Table, digest: str) -> None:
        self.digest = digest
        self.paths = table["path"]
        self.years = table["year"].to_numpy()
        self.bounds = np.column_stack([table[name].to_numpy() for name in BOUNDS])
        codes = table["crs"].combine_chunks().dictionary_encode()
        numbers = codes.indices.to_numpy(zero_copy_only=False)
        self.rows = {crs: np.flatnonzero(numbers == i) for i, crs in enumerate(codes.dictionary.to_pylist())}

    def near(self, area: BaseGeometry, first: int, last: int) -> list[Cog]:
        """Return the COGs of the years `first` to `last` that touch an area (EPSG:4326), by year and name."""
        cogs = {}
        for epsg in _zones_about(area):
            rows = self.rows.get(f"EPSG:{epsg}")
            if rows is None:
                continue
            rows = rows[(self.years[rows] >= first) & (self.years[rows] <= last)]
            outline = geodesy.project(area, 4326, epsg)
            for row in rows[_touching(self.bounds[rows], outline)]:
                cog = self._cog(int(row), epsg)
                cogs[cog.name] = cog
        return [cogs[name] for name in sorted(cogs)]

    def _cog(self, row: int, epsg: int) -> Cog:
        """Return the COG of a row. InputError where its path is not of the published form."""
        path = self.paths[row].as_py()
        name = "/".join(path.split("/")[-3:])
        match = NAME.fullmatch(name)
        if match is None or int(match["year"]) != self.years[row]:
            raise InputError(
                f"source.index: row {row} has the path {path} for {self.years[row]}; paths must end like "
                "2024/31N/x05g5rs56l3cq3pex-0000000000-0000000000.tiff."
            )
        west, south, east, north = self.bounds[row]
        shape = round((north - south) / PIXEL_M), round((east - west) / PIXEL_M)
        return Cog(name, GeoBox(shape, Affine(PIXEL_M, 0, west, 0, -PIXEL_M, north), f"EPSG:{epsg}"))


def read(address: str, signed: Signer, parallel: int) -> CogIndex:
    """Read an index; from the web, only the columns that are needed. InputError where it is no such index."""
    with _opened(address, signed, parallel) as file:
        try:
            digest = _footer_digest(file)
            table = pq.ParquetFile(file, pre_buffer=False)
            if missing := [name for name in COLUMNS if name not in table.schema_arrow.names]:
                raise InputError(
                    f"source.index: {address} has no column {missing[0]}; use the published "
                    "aef_index.parquet, not its STAC version."
                )
            if not table.metadata.num_rows:
                raise InputError(f"source.index: {address} has no rows.")
            # One thread: each read is a seek and then a request, which threads would interleave.
            groups = [
                _typed(table.read_row_group(group, list(COLUMNS), use_threads=False))
                for group in range(table.num_row_groups)
            ]
        except InputError:
            raise
        except (pa.ArrowException, ValueError, OSError) as error:
            text = str(error).splitlines()[0].rstrip(".")
            raise InputError(
                f"source.index: {address} cannot be read as a GeoParquet index: {text}."
            ) from None
    return CogIndex(pa.concat_tables(groups), digest)


def _typed(table: pa.Table) -> pa.Table:
    """Return the columns cast to the types used here (years may be text), without rows that have a null."""
    types = {"path": pa.string(), "crs": pa.string(), "year": pa.int16()}
    typed = pa.table({name: pc.cast(table[name], types.get(name, pa.float64())) for name in COLUMNS})
    return typed.drop_null()


class _Ranges(RangeFile):
    """A remote file with the attributes that pyarrow needs of a Python file."""

    closed = False
    mode = "rb"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextmanager
def _opened(address: str, signed: Signer, parallel: int) -> Iterator[BinaryIO]:
    """Open an index. A web error is raised as it was, not as what pyarrow turned it into."""
    if not raster.is_remote(address):
        try:
            file = open(address, "rb")  # noqa: PTH123, SIM115
        except OSError:
            raise InputError(f"source.index: there is no file {address}.") from None
        with file:
            yield file
        return
    opener = Opener(address, signed, parallel)
    try:
        yield cast(BinaryIO, _Ranges(address, opener))
    except (InputError, OSError):
        if opener.error is None:
            raise
    if opener.error is not None:
        raise opener.error


def _footer_digest(file: BinaryIO) -> str:
    """Return the SHA-256 of the Parquet footer, which has offset, size and statistics of each chunk."""
    # The last 8 bytes are the footer's length (4, little-endian) and the magic number PAR1.
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, size - 8 - length))
    return hashlib.sha256(file.read(min(length, size))).hexdigest()


def _zones_about(area: BaseGeometry) -> list[int]:
    """Return the EPSG codes of the UTM zones, north and south, that may have COGs of an area (EPSG:4326)."""
    lon, _ = geodesy.centre(area)
    own_zone = int((lon + 180) // 6)
    zones = [(own_zone + aside) % 60 + 1 for aside in range(-ZONES_ASIDE, ZONES_ASIDE + 1)]
    return [base + zone for base in (32600, 32700) for zone in zones]


def _touching(bounds: NDArray[Any], outline: BaseGeometry) -> NDArray[np.bool_]:
    """Return which boxes (n, 4; west, south, east, north) an outline in their CRS touches, within PLAY_M."""
    left, bottom, right, top = shapely.box(*outline.bounds).buffer(PLAY_M).bounds
    west, south, east, north = bounds.T
    near = (west <= right) & (east >= left) & (south <= top) & (north >= bottom)
    near[near] = shapely.distance(shapely.box(*bounds[near].T), outline) <= PLAY_M
    return near
