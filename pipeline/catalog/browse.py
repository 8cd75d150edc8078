"""Command `browse`: serve a benchmark's catalog and data on this machine, for browsers and GIS.

    /                            a page of all sites and periods
    /catalogs/<b>/stac/...       the catalog, for STAC clients
    /data/<b>/...                cubes and tables that its assets point to

Answers byte ranges, which COG and Zarr readers ask for, and allows other origins, so that a STAC
browser in the same web browser can read it. Nothing else of the repository is served.
"""

import io
import json
import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import jinja2

from pipeline.catalog import model_items
from pipeline.core.errors import NotMadeYet, WorkError
from pipeline.core.layout import Benchmark

RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
TYPES = {".json": "application/json", ".geojson": "application/geo+json", ".tif": "image/tiff"}


def server(benchmark: Benchmark, port: int) -> ThreadingHTTPServer:
    """A server on the loopback address, bound but not yet serving; port 0 takes a free one."""
    if not (benchmark.stac / "catalog.json").is_file():
        raise NotMadeYet(f"{benchmark.stac / 'catalog.json'} is missing: run `minebench catalog` first.")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, benchmark=benchmark))
    except OSError as error:
        raise WorkError(
            f"Port {port} cannot be used ({error.strerror}): choose another with --port."
        ) from None


def page(benchmark: Benchmark) -> str:
    """All sites and periods of the catalog as one HTML page."""
    template = files("pipeline.catalog").joinpath("browse.html").read_text(encoding="utf-8")
    root = json.loads((benchmark.stac / "catalog.json").read_text())
    children = [link["href"] for link in root["links"] if link["rel"] == "child"]
    sites = [_site(benchmark, href) for href in children if _is_site(href)]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    base = f"/{benchmark.stac.relative_to(benchmark.root).as_posix()}"
    return environment.from_string(template).render(
        root=root, sites=sites, base=base, name=benchmark.name, report=benchmark.report.is_file()
    )


def _is_site(href: str) -> bool:
    """Whether a child is a site's collection, not the models' or the predictions' catalog."""
    folder = Path(href).parent.name
    return Path(href).name == "collection.json" and folder != model_items.FOLDER


def _site(benchmark: Benchmark, href: str) -> dict[str, Any]:
    """A collection with the items that its page shows, hrefs from the catalog's root."""
    path = benchmark.stac / href
    collection = json.loads(path.read_text())
    items = []
    for link in collection["links"]:
        if link["rel"] == "item":
            where = path.parent / link["href"]
            folder = where.parent.relative_to(benchmark.stac).as_posix()
            items.append(
                {"folder": folder, "href": f"{folder}/{where.name}", **json.loads(where.read_text())}
            )
    return {"href": Path(href).as_posix(), "items_": items, **collection}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one benchmark, with byte ranges and open to other origins."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, benchmark: Benchmark, **more: Any) -> None:
        self.benchmark = benchmark
        self.left = 0
        super().__init__(*args, directory=str(benchmark.root.resolve()), **more)

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]
        """Headers of a whole file or of the range asked for; the body follows from `copyfile`."""
        if self.path.split("?")[0] == "/":
            return self._send_page()
        path = Path(self.translate_path(self.path)).resolve()
        served = (self.benchmark.stac.resolve(), self.benchmark.data.resolve())
        if not path.is_file() or not any(path.is_relative_to(folder) for folder in served):
            self.send_error(HTTPStatus.NOT_FOUND, "Not part of this benchmark")
            return None
        size = path.stat().st_size
        first, last = _span(self.headers.get("Range"), size)
        if first > last and size:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
        partial_ = "Range" in self.headers
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partial_ else HTTPStatus.OK)
        if partial_:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Type", TYPES.get(path.suffix) or self.guess_type(str(path)))
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        file = path.open("rb")
        file.seek(first)
        self.left = last - first + 1
        return file

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send just what `send_head` announced."""
        while self.left and (block := source.read(min(self.left, 1 << 16))):
            outputfile.write(block)
            self.left -= len(block)

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Range")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, Content-Length, Accept-Ranges")
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def do_OPTIONS(self) -> None:
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def _send_page(self) -> IO[bytes]:
        body = page(self.benchmark).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.left = len(body)
        return io.BytesIO(body)


def _span(header: str | None, size: int) -> tuple[int, int]:
    """First and last byte of a Range header; the whole file without one; first > last if bad."""
    match = RANGE.match(header or "bytes=0-")
    if not match or not any(match.groups()):
        return 1, 0
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last else size - 1, size - 1)
