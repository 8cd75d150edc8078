"""Vector files are read as their suffix says, and never as a text that names other files or services."""

import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from minebench.errors import InputError
from pipeline.geo import vector

MINES = gpd.GeoDataFrame({"name": ["Alpha"]}, geometry=[shapely.box(10, 50, 10.01, 50.01)], crs=4326)


@pytest.fixture
def asked() -> Iterator[tuple[int, list[str]]]:
    """A server's port, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port, paths
    server.shutdown()
    server.server_close()


def naming(source: str, layer: str) -> str:
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="{layer}"><SrcDataSource>{source}</SrcDataSource>'
        '<GeometryType>wkbPoint</GeometryType><LayerSRS>WGS84</LayerSRS>'
        '<GeometryField encoding="PointFromColumns" x="lon" y="lat"/></OGRVRTLayer></OGRVRTDataSource>'
    )  # fmt: skip


@pytest.mark.parametrize(
    "suffix", [".geojson", ".json", ".geojsonl", ".gpkg", ".shp", ".fgb", ".kml", ".gml", ".kmz", ".zip"]
)
@pytest.mark.parametrize("kind", ["file", "address", "service", "pipeline"])
def test_a_text_that_names_something_else_is_refused(
    suffix: str, kind: str, tmp_path: Path, asked: tuple[int, list[str]]
) -> None:
    port, paths = asked
    secret = tmp_path / "secret.csv"
    secret.write_text("name,lon,lat\nTOPSECRET,10,50\n")
    texts = {
        "file": naming(str(secret), "secret"),
        "address": naming(f"/vsicurl/http://127.0.0.1:{port}/internal.csv", "internal"),
        "service": f"<OGRWFSDataSource><URL>http://127.0.0.1:{port}/wfs</URL></OGRWFSDataSource>",
        "pipeline": json.dumps(
            {"type": "gdal_streamed_alg", "command_line": f"gdal vector pipeline ! read {secret}"}
        ),
    }
    path = tmp_path / f"mines{suffix}"
    path.write_text(texts[kind])
    for read in (vector.read, vector.layers):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            read(path)
        if kind != "pipeline" or vector.FIRST_BYTES[suffix] != b"{":
            assert isinstance(caught.value, InputError)
            assert f"its content is not {suffix}" in str(caught.value)
    assert not paths


GML = """<?xml version="1.0" encoding="utf-8"?>
<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml/3.2"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xlink="http://www.w3.org/1999/xlink"
 xsi:schemaLocation="http://ogr.maptools.org/ SCHEMA"><ogr:featureMember><ogr:mines gml:id="mines.0">
 <ogr:geometryProperty xlink:href="SCHEMA"><gml:Polygon srsName="urn:ogc:def:crs:EPSG::4326" gml:id="g.0">
 <gml:exterior><gml:LinearRing><gml:posList>50 10 50 10.01 50.01 10.01 50.01 10 50 10</gml:posList>
 </gml:LinearRing></gml:exterior></gml:Polygon></ogr:geometryProperty><ogr:name>Alpha</ogr:name>
 </ogr:mines></ogr:featureMember></ogr:FeatureCollection>"""
DRIVERS = {".kml": "LIBKML", ".geojsonl": "GeoJSONSeq", ".geojsons": "GeoJSONSeq", ".json": "GeoJSON"}


def saved(folder: Path, suffix: str, mines: gpd.GeoDataFrame = MINES) -> Path:
    """A list as other programs save it in the format of a suffix."""
    path = folder / f"mines{suffix}"
    if suffix in vector.PARQUET:
        mines.to_parquet(path)
    elif suffix == ".gml":  # pyogrio writes none
        path.write_text(GML)
    elif suffix == ".kmz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(saved(folder, ".kml", mines), "doc.kml")
    elif suffix == ".zip":
        saved(folder, ".shp", mines)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("__MACOSX/._mines.shp", b"a Mac's notes")
            for part in vector.SHAPEFILE:
                archive.write(folder / f"mines{part}", f"lists/mines{part}")
    else:
        mines.to_file(path, driver=DRIVERS.get(suffix))
    return path


@pytest.mark.parametrize("suffix", vector.SUFFIXES)
def test_ordinary_files_are_read(suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path, suffix)
    before = sorted(tmp_path.iterdir())
    found = vector.read(path).to_crs(4326)
    assert found.rename(columns=str.lower)["name"].tolist() == ["Alpha"]
    assert shapely.force_2d(found.geometry.iloc[0]).equals(MINES.geometry.iloc[0])
    layer = "doc" if suffix == ".kmz" else "mines"
    assert vector.layers(path) in ([[]] if suffix in vector.PARQUET else [[layer], ["mines"]])
    assert sorted(tmp_path.iterdir()) == before


def test_xml_is_read_without_what_it_refers_to(tmp_path: Path, asked: tuple[int, list[str]]) -> None:
    port, paths = asked
    gml = tmp_path / "mines.gml"
    gml.write_text(GML.replace("SCHEMA", f"http://127.0.0.1:{port}/x.xsd"))
    assert len(vector.read(gml)) == 1
    (tmp_path / "secret.txt").write_text("TOPSECRET")
    kml = saved(tmp_path, ".kml")
    text = kml.read_text()
    link = f"<NetworkLink><Link><href>http://127.0.0.1:{port}/x.kml</href></Link></NetworkLink>"
    kml.write_text(text.replace("<Placemark", f"{link}<Placemark", 1))
    assert len(vector.read(kml)) == 1
    entity = f'<!DOCTYPE kml [<!ENTITY x SYSTEM "{tmp_path}/secret.txt">]>'
    head, _, rest = text.partition("<kml")
    kml.write_text(f"{head}{entity}<kml{rest}".replace("Alpha", "&x;"))
    with pytest.raises(InputError, match=r"its content is not \.kml"):
        vector.read(kml)
    kml.write_text(f"<kml><Document>{link}</Document></kml>")
    with pytest.raises(InputError, match="only links to places"):
        vector.read(kml)
    kml.write_text("<kml/>")
    with pytest.raises(InputError, match="holds no places"):
        vector.layers(kml)
    assert not paths


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_a_place_that_stands_alone_in_a_kml(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mine.kml"
    head = f'<?xml version="1.0" encoding="{encoding}"?><kml xmlns="http://earth.google.com/kml/2.1">'
    place = "<Placemark><name>Køge</name><Point><coordinates>12,50</coordinates></Point></Placemark>"
    path.write_bytes(f"{head}{place}</kml>".encode(encoding))
    assert vector.read(path).Name.tolist() == ["Køge"]


def test_archives_are_unpacked_with_care(tmp_path: Path) -> None:
    path = tmp_path / "mines.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.txt", "")
    with pytest.raises(InputError, match="holds no Shapefile"):
        vector.layers(path)
    shape = saved(tmp_path, ".shp")
    with zipfile.ZipFile(path, "w") as archive:
        for part in vector.SHAPEFILE:
            archive.write(shape.with_suffix(part), f"mines{part}")
            archive.write(shape.with_suffix(part), f"dumps{part.upper()}")
    assert sorted(vector.layers(path)) == ["dumps", "mines"]
    assert len(vector.read(path, "dumps")) == 1
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match="damaged"):
        vector.read(path)


def test_tables_without_places_are_no_layers(tmp_path: Path) -> None:
    path = saved(tmp_path, ".gpkg")
    # Not imported above: pyogrio's GDAL is to be loaded by `vector`, which switches formats off.
    vector.pyogrio.write_dataframe(pd.DataFrame({"style": ["red"]}), path, layer="layer_styles", append=True)
    assert vector.layers(path) == ["mines"]


def test_json_behind_blanks_and_the_mark_of_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mines.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + MINES.to_json().encode())
    assert vector.read(path).name.tolist() == ["Alpha"]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mines.vrt"
    path.write_text("<OGRVRTDataSource/>")
    with pytest.raises(InputError, match=r"may be \.gpkg"):
        vector.read(path)


def test_folders_without_places_are_no_layers(tmp_path: Path) -> None:
    point = "<Placemark><name>A</name><Point><coordinates>14,51</coordinates></Point></Placemark>"
    folder = "<Folder><name>{}</name>{}</Folder>".format
    inside = folder("Europe", folder("Germany", point)) + folder("Empty", "")
    path = tmp_path / "nested.kml"
    path.write_text(f'<kml xmlns="{vector.KML}"><Document>{inside}</Document></kml>')
    assert vector.layers(path) == ["Germany"]
