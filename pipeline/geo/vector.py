"""Read vector files, each only as the format of its suffix.

GDAL chooses a format by a file's content, and in some formats a file can make it open something else: other
files (OGR VRT), services (WFS), web addresses (/vsicurl). So the first bytes of a file must be those of its
suffix's format, and formats of that kind are switched off before GDAL is loaded. XML (KML, GML) is parsed
here and written anew without references to other files; of archives only known members are unpacked.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

REFERRING = (
    "ADBC", "AIVector", "AmigoCloud", "CSW", "Carto", "EEDA", "Elasticsearch", "GDALG", "HTTP", "NGW",
    "OAPIF", "OGCAPI", "OGR_VRT", "PLSCENES", "SQLite", "WFS",
)  # fmt: skip
"""The vector formats of pyogrio's GDAL in which a file can make it open other files or query a service. GML
is one, too, and is read without its references."""
# Set only while pyogrio's GDAL loads, which reads it once: rasterio's GDAL lacks some of these formats, and
# would warn of them.
os.environ["OGR_SKIP"] = ",".join(REFERRING)
import pyogrio  # noqa: E402

del os.environ["OGR_SKIP"]
import geopandas as gpd  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from minebench.errors import InputError  # noqa: E402

FIRST_BYTES = {
    ".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".fgb": b"fgb\x03fgb",
    **dict.fromkeys((".geojson", ".json", ".geojsonl", ".geojsons"), b"{"),
    **dict.fromkeys((".kml", ".gml"), b"<"), **dict.fromkeys((".kmz", ".zip"), b"PK"),
}  # fmt: skip
"""First bytes of a format by suffix; in texts they may follow a byte order mark, a record separator and
blanks."""
BINARY = (".gpkg", ".shp", ".fgb", ".kmz", ".zip")
XML = (".kml", ".gml")
PARQUET = (".parquet", ".geoparquet")
SUFFIXES = (*FIRST_BYTES, *PARQUET)
LAYERED = (".gpkg", ".kml", ".kmz", ".gml", ".zip")
"""Formats of which a file may have several layers."""
SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")
KML, GML = "http://www.opengis.net/kml/2.2", "http://www.opengis.net/gml"
MOST_BYTES = 2**31
"""Of an archive's members together, unpacked."""


def layers(path: Path) -> list[str]:
    """Return the names of a file's layers, none for GeoParquet. Tables without geometry are left out where
    others have one, and a KML's folders without places of their own. InputError for content of another
    format."""
    if path.suffix.lower() in PARQUET:
        return []
    suffix = path.suffix.lower()
    with _opened(path) as safe:
        found = pyogrio.list_layers(safe)
        names = [str(name) for name, kind in found if kind is not None] or [str(name) for name, _ in found]
        if suffix in {".kml", ".kmz"}:
            # A layer for each folder, also for those that only hold folders.
            names = [name for name in names if _has_features(safe, name)] or names
    # GDAL lists the Shapefiles of a folder as the disk does.
    return sorted(names) if suffix == ".zip" else names


def read(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a vector file, or one layer of it. InputError for content of another format; a damaged file raises
    what GeoPandas raises."""
    if path.suffix.lower() in PARQUET:
        _check_encoding(path)
        return gpd.read_parquet(path)
    with _opened(path) as safe:
        return gpd.read_file(safe, layer=layer)


def _has_features(path: Path, layer: str) -> bool:
    return bool(pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"] > 0)


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """Yield the file that GDAL may open in place of a user's: itself, or a copy that refers to nothing."""
    suffix = path.suffix.lower()
    _check(path)
    if suffix not in {*XML, ".kmz", ".zip"}:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="minebench-") as folder:
        if suffix == ".zip":
            yield _unpacked(path, Path(folder))
            return
        content = _of_kmz(path) if suffix == ".kmz" else path.read_bytes()
        kind = ".gml" if suffix == ".gml" else ".kml"
        copy = Path(folder) / f"{path.stem}{kind}"
        copy.write_bytes(_without_references(content, kind, path))
        try:
            yield copy
        except pyogrio.errors.DataSourceError as error:
            raise pyogrio.errors.DataSourceError(str(error).replace(str(copy), str(path))) from None


def _check(path: Path) -> None:
    """Raise InputError if a file does not begin as its suffix's format does."""
    suffix = path.suffix.lower()
    if suffix not in FIRST_BYTES:
        raise InputError(f"{path}: vector files may be {', '.join(SUFFIXES)}, not '{suffix}'.")
    with path.open("rb") as file:
        start = file.read(4096)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")
    is_utf_16 = suffix in XML and start[:2] in {b"\xff\xfe", b"\xfe\xff"}
    if not (is_utf_16 or (start if suffix in BINARY else text).startswith(FIRST_BYTES[suffix])):
        raise _other_content(path)


def _other_content(path: Path) -> InputError:
    return InputError(
        f"{path} cannot be read: its content is not {path.suffix.lower()}. Save it in that format."
    )


def _without_references(content: bytes, kind: str, path: Path) -> bytes:
    """Return KML or GML without what names other files: entities, schemas, links. InputError for other XML,
    and for a KML without places."""
    try:
        root = ElementTree.fromstring(content)  # it loads no external entities
    except (ElementTree.ParseError, ValueError, LookupError):
        raise _other_content(path) from None
    namespace, _, name = root.tag.rpartition("}")
    is_gml = any(GML in str(element.tag) for element in root.iter())
    if (name != "kml") if kind == ".kml" else not (is_gml or namespace.startswith("{" + GML)):
        raise _other_content(path)
    if kind == ".kml":
        _check_places(root, path)
    for element in root.iter():
        element.attrib = {key: value for key, value in element.attrib.items() if _is_plain(key)}
        if kind == ".kml" and isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    if kind == ".kml":
        root.attrib = {"xmlns": KML}
        _contain(root)
    else:
        ElementTree.register_namespace("gml", GML)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _contain(root: ElementTree.Element) -> None:
    """Put places that stand alone into a Document, without which GDAL reads none."""
    if all(child.tag not in {"Document", "Folder"} for child in root):
        places = [*root]
        root[:] = []
        ElementTree.SubElement(root, "Document").extend(places)


def _is_plain(attribute: str) -> bool:
    """Whether an XML attribute is none of xlink:, xsi: or the like."""
    return not attribute.startswith("{") or GML in attribute


def _check_places(root: ElementTree.Element, path: Path) -> None:
    names = {str(element.tag).rpartition("}")[2] for element in root.iter()}
    if "Placemark" in names:
        return
    if "NetworkLink" in names:
        raise InputError(
            f"{path} only links to places that are kept elsewhere (NetworkLink): open it in Google Earth and "
            "save the places themselves."
        )
    raise InputError(f"{path} holds no places.")


def _of_kmz(path: Path) -> bytes:
    """Return the KML in a KMZ: doc.kml, or else the first."""
    with _archive(path) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".kml")]
        if not names:
            raise InputError(f"{path} holds no KML file.")
        chosen = next((name for name in names if name.lower() == "doc.kml"), names[0])
        return archive.read(chosen)


def _unpacked(path: Path, folder: Path) -> Path:
    """Unpack an archive's Shapefiles into `folder`, which GDAL reads as one file with a layer for each."""
    with _archive(path) as archive:
        inside = {name: PurePosixPath(name.replace("\\", "/")) for name in archive.namelist()}
        # A Mac adds a ._NAME for each.
        own = {name: place for name, place in inside.items() if not place.name.startswith(".")}
        shapes = [place.with_suffix("") for place in own.values() if place.suffix.lower() == ".shp"]
        if not shapes:
            raise InputError(f"{path} holds no Shapefile: unpack it, and name the file with the mines.")
        if len({shape.name for shape in shapes}) < len(shapes):
            raise InputError(f"{path} holds two Shapefiles of one name: unpack it, and name one of them.")
        for name, place in own.items():
            if place.with_suffix("") in shapes and place.suffix.lower() in SHAPEFILE:
                (folder / f"{place.stem}{place.suffix.lower()}").write_bytes(archive.read(name))
    for shape in folder.glob("*.shp"):
        _check(shape)
    return folder


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive. InputError where it is damaged, locked or too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise InputError(f"{path} unpacks to more than 2 GB: unpack it, and name the file itself.")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise InputError(f"{path} cannot be unpacked: it is damaged, or locked by a password.") from None


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
