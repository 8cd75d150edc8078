"""Vector files, each read as the format that its suffix says and as no other.

GDAL chooses a format by a file's content, and some formats are texts that make it open what they name:
other files (OGR VRT), services (WFS), addresses (/vsicurl). So the first bytes of a file must be those of
its suffix's format, and formats of that kind are switched off before GDAL is loaded.
"""

import json
import os
from pathlib import Path

NAMING = (
    "ADBC", "AIVector", "AmigoCloud", "CSW", "Carto", "EEDA", "Elasticsearch", "GDALG", "GML", "HTTP", "NGW",
    "OAPIF", "OGCAPI", "OGR_VRT", "PLSCENES", "SQLite", "WFS",
)  # fmt: skip
"""GDAL's vector formats that open what they name, or ask a service, of those that pyogrio brings."""
# For pyogrio's GDAL alone, which reads it once: rasterio's has other formats, and would warn of them.
os.environ["OGR_SKIP"] = ",".join(NAMING)
import pyogrio  # noqa: E402

del os.environ["OGR_SKIP"]
import geopandas as gpd  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from pipeline.core.errors import InputError  # noqa: E402

BEGINS = {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".geojson": b"{", ".json": b"{"}
"""First bytes of a format by suffix, behind blanks and the mark of UTF-8."""
PARQUET = (".parquet", ".geoparquet")
SUFFIXES = (*BEGINS, *PARQUET)


def layers(path: Path) -> list[str]:
    """Return the names of a file's layers; GeoParquet has none. InputError for another format's content."""
    if path.suffix.lower() in PARQUET:
        return []
    _check(path)
    return [str(name) for name, _ in pyogrio.list_layers(path)]


def read(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a vector file. InputError for another format's content; what the library raises for the rest."""
    if path.suffix.lower() in PARQUET:
        _check_encoding(path)
        return gpd.read_parquet(path)
    _check(path)
    return gpd.read_file(path, layer=layer)


def _check(path: Path) -> None:
    """InputError where a file is not of its suffix's format."""
    suffix = path.suffix.lower()
    if suffix not in BEGINS:
        raise InputError(f"{path}: vector files may be {', '.join(SUFFIXES)}, not '{suffix}'.")
    with path.open("rb") as file:
        start = file.read(4096)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not (start if suffix in {".gpkg", ".shp"} else text).startswith(BEGINS[suffix]):
        raise InputError(f"{path} cannot be read: its content is not {suffix}. Save it as that.")


def _check_encoding(path: Path) -> None:
    """GeoParquet's own encoding can crash the reading library where it mixes shapes (geoarrow), a thing
    that no exception tells."""
    about = json.loads((pq.read_schema(path).metadata or {}).get(b"geo", b"{}"))
    for name, column in about.get("columns", {}).items():
        if column.get("encoding", "WKB") != "WKB":
            raise InputError(
                f"{path}: column {name} is encoded as {column['encoding']}, which cannot be read safely; "
                "save it as WKB, the usual encoding of GeoParquet."
            )
