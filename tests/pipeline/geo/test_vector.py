"""Vector files are read as their suffix says, and never as a text that names other files or services."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from pipeline.core.errors import InputError
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


@pytest.mark.parametrize("suffix", [".geojson", ".json", ".gpkg", ".shp"])
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
        if kind != "pipeline" or suffix in {".gpkg", ".shp"}:
            assert isinstance(caught.value, InputError)
            assert f"its content is not {suffix}" in str(caught.value)
    assert not paths


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp", ".parquet"])
def test_ordinary_files_are_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mines{suffix}"
    if suffix == ".parquet":
        MINES.to_parquet(path)
    else:
        MINES.to_file(path)
    assert vector.read(path).name.tolist() == ["Alpha"]
    assert vector.layers(path) == ([] if suffix == ".parquet" else ["mines"])


def test_json_behind_blanks_and_the_mark_of_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mines.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + MINES.to_json().encode())
    assert vector.read(path).name.tolist() == ["Alpha"]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mines.kml"
    path.write_text("<kml/>")
    with pytest.raises(InputError, match=r"may be \.gpkg"):
        vector.read(path)
