"""The index of the Satellite Embedding's COGs: a GeoParquet file with a row per COG.

Its columns (fid, geom, crs, path, year, utm_zone, utm_west, utm_south, utm_east, utm_north, wgs84_west and
so on) are those of Google's own index; about 300,000 rows and 80 MB, outlines and all. Outlines are not read:
the bounds in UTM say exactly where a COG lies, across the antimeridian too.
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

from pipeline.core.errors import InputError
from pipeline.geo import geodesy, raster
from pipeline.geo.remote import Opener, RangeFile, Signer
from pipeline.sensors.alphaearth import PIXEL_M

BOUNDS = ("utm_west", "utm_south", "utm_east", "utm_north")
COLUMNS = ("path", "year", "crs", *BOUNDS)
NAME = re.compile(r"(?P<year>\d{4})/(?P<zone>\d{1,2}[NS])/(?P<id>[\w-]+)\.tiff?")
"""A COG's path below the folder of all years."""
ZONES_ASIDE = 2
"""Zones on either side of a place's own that may have COGs of it: in the far north zones are narrower than
a COG, and some are left out."""

PLAY_M = 1.0


@dataclass(frozen=True)
class Cog:
    """A COG of one year: its path below the folder of all years, and its grid, north up."""

    name: str
    grid: GeoBox


class CogIndex:
    """Rows of the index by UTM zone, in memory: about 60 MB for the public one.

    `digest` is of the file's Parquet footer, and differs where the file differs.
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
        found = {}
        for epsg in _zones_about(area):
            rows = self.rows.get(f"EPSG:{epsg}")
            if rows is None:
                continue
            rows = rows[(self.years[rows] >= first) & (self.years[rows] <= last)]
            outline = geodesy.project(area, 4326, epsg)
            for row in rows[_touching(self.bounds[rows], outline)]:
                cog = self._cog(int(row), epsg)
                found[cog.name] = cog
        return [found[name] for name in sorted(found)]

    def _cog(self, row: int, epsg: int) -> Cog:
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
    """Read an index, of a web address just the columns that are needed. InputError where it is none."""
    with _opened(address, signed, parallel) as file:
        try:
            digest = _footer_digest(file)
            table = pq.ParquetFile(file, pre_buffer=False)
            if missing := [name for name in COLUMNS if name not in table.schema_arrow.names]:
                raise InputError(
                    f"source.index: {address} has no column {missing[0]}; take aef_index.parquet as it is "
                    "published, not the STAC form of it."
                )
            if not table.metadata.num_rows:
                raise InputError(f"source.index: {address} has no rows.")
            # One thread: a read is a seek and a request, and they must not get mixed up.
            groups = [
                _typed(table.read_row_group(group, list(COLUMNS), use_threads=False))
                for group in range(table.num_row_groups)
            ]
        except (pa.ArrowException, ValueError, OSError) as error:
            text = str(error).splitlines()[0].rstrip(".")
            raise InputError(
                f"source.index: {address} cannot be read as a GeoParquet index: {text}."
            ) from None
    return CogIndex(pa.concat_tables(groups), digest)


def _typed(table: pa.Table) -> pa.Table:
    """The columns in the types that are reckoned with, without rows that lack one; years may be text."""
    types = {"path": pa.string(), "crs": pa.string(), "year": pa.int16()}
    typed = pa.table({name: pc.cast(table[name], types.get(name, pa.float64())) for name in COLUMNS})
    return typed.drop_null()


class _Ranges(RangeFile):
    """A remote file as pyarrow reads it."""

    closed = False
    mode = "rb"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextmanager
def _opened(address: str, signed: Signer, parallel: int) -> Iterator[BinaryIO]:
    """An index, open. A failure of the web comes as it is, whatever pyarrow made of it."""
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
    """SHA-256 of the Parquet footer, which has the place, size and statistics of every column's chunks."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, size - 8 - length))
    return hashlib.sha256(file.read(min(length, size))).hexdigest()


def _zones_about(area: BaseGeometry) -> list[int]:
    """EPSG codes of the UTM zones, north and south, that may have COGs of an area."""
    lon, _ = geodesy.centre(area)
    own = int((lon + 180) // 6)
    zones = [(own + aside) % 60 + 1 for aside in range(-ZONES_ASIDE, ZONES_ASIDE + 1)]
    return [base + zone for base in (32600, 32700) for zone in zones]


def _touching(bounds: NDArray[Any], outline: BaseGeometry) -> NDArray[np.bool_]:
    """Which boxes (n, 4) an outline in the same CRS touches, give or take what projecting it costs."""
    left, bottom, right, top = shapely.box(*outline.bounds).buffer(PLAY_M).bounds
    west, south, east, north = bounds.T
    near = (west <= right) & (east >= left) & (south <= top) & (north >= bottom)
    near[near] = shapely.distance(shapely.box(*bounds[near].T), outline) <= PLAY_M
    return near
