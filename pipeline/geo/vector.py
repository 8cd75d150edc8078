"""Read vector files, each only as the format of its suffix.

GDAL chooses a format by a file's content, and in some formats a file can make it open something else: other
files (OGR VRT), services (WFS), web addresses (/vsicurl). So the first bytes of a file must be those of its
suffix's format, and formats of that kind are switched off before GDAL is loaded.
"""

import json
import os
from pathlib import Path

REFERRING = (
    "ADBC", "AIVector", "AmigoCloud", "CSW", "Carto", "EEDA", "Elasticsearch", "GDALG", "GML", "HTTP", "NGW",
    "OAPIF", "OGCAPI", "OGR_VRT", "PLSCENES", "SQLite", "WFS",
)  # fmt: skip
"""The vector formats of pyogrio's GDAL in which a file can make it open other files or query a service."""
# Set only while pyogrio's GDAL loads, which reads it once: rasterio's GDAL lacks some of these formats, and
# would warn of them.
os.environ["OGR_SKIP"] = ",".join(REFERRING)
import pyogrio  # noqa: E402

del os.environ["OGR_SKIP"]
import geopandas as gpd  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from pipeline.core.errors import InputError  # noqa: E402

FIRST_BYTES = {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".geojson": b"{", ".json": b"{"}
"""First bytes of a format by suffix; in texts they may follow a byte order mark and blanks."""
PARQUET = (".parquet", ".geoparquet")
SUFFIXES = (*FIRST_BYTES, *PARQUET)


def layers(path: Path) -> list[str]:
    """Return the names of a file's layers, none for GeoParquet. InputError for content of another format."""
    if path.suffix.lower() in PARQUET:
        return []
    _check(path)
    return [str(name) for name, _ in pyogrio.list_layers(path)]


def read(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a vector file, or one layer of it. InputError for content of another format; a damaged file raises
    what GeoPandas raises."""
    if path.suffix.lower() in PARQUET:
        _check_encoding(path)
        return gpd.read_parquet(path)
    _check(path)
    return gpd.read_file(path, layer=layer)


def _check(path: Path) -> None:
    """Raise InputError if a file does not begin as its suffix's format does."""
    suffix = path.suffix.lower()
    if suffix not in FIRST_BYTES:
        raise InputError(f"{path}: vector files may be {', '.join(SUFFIXES)}, not '{suffix}'.")
    with path.open("rb") as file:
        start = file.read(4096)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not (start if suffix in {".gpkg", ".shp"} else text).startswith(FIRST_BYTES[suffix]):
        raise InputError(f"{path} cannot be read: its content is not {suffix}. Save it in that format.")


def _check_encoding(path: Path) -> None:
    """Raise InputError unless all geometries of a GeoParquet file are WKB.

    A column in GeoParquet's native (geoarrow) encoding that mixes geometry types can crash the process
    without an exception.
    """
    geo = json.loads((pq.read_schema(path).metadata or {}).get(b"geo", b"{}"))
    for name, column in geo.get("columns", {}).items():
        if column.get("encoding", "WKB") != "WKB":
            raise InputError(
                f"{path}: column {name} is encoded as {column['encoding']}, which cannot be read safely; "
                "save it with encoding WKB, the default of GeoParquet."
            )
