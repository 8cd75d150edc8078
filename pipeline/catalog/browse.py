"""Command `browse`: serve a benchmark's catalog and data on this machine, for browsers and GIS.

    /                            a page of sites and periods; /?page=2 the next hundred sites
    /catalogs/<b>/stac/...       the catalog, for STAC clients
    /data/<b>/...                cubes, tables and models that its assets point to

Answers byte ranges, which COG and Zarr readers ask for, and allows other origins, so that a STAC
browser in the same web browser can read it. Nothing else of the repository is served, and nobody who
calls this machine by another name than its own (a page elsewhere could have its name point here).
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
from urllib.parse import parse_qs, urlsplit

import jinja2

from pipeline.catalog import areas, model_items
from pipeline.core.errors import NotMadeYet, WorkError
from pipeline.core.layout import Benchmark

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})$")
TYPES = {".json": "application/json", ".geojson": "application/geo+json", ".tif": "image/tiff"}
PUBLISHED = ("cubes", "index", "leaderboard", "predictions", "report")
"""Folders of data/<b>/ that the catalog's assets, or its page, point to."""
OWN_NAMES = {"localhost", "127.0.0.1", "::1"}
A_PAGE = 100
"""Sites on a page."""
IDLE_S = 30
"""After which a silent connection is closed, and its thread ends."""


class Server(ThreadingHTTPServer):
    """A thread a connection."""

    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that went away is nobody's concern."""


def server(benchmark: Benchmark, port: int) -> Server:
    """A server on the loopback address, bound but not yet serving; port 0 takes a free one."""
    if not (benchmark.stac / "catalog.json").is_file():
        raise NotMadeYet(f"{benchmark.stac / 'catalog.json'} is missing: run `minebench catalog` first.")
    try:
        return Server(("127.0.0.1", port), partial(_Handler, benchmark=benchmark))
    except OSError as error:
        raise WorkError(
            f"Port {port} cannot be used ({error.strerror}): choose another with --port."
        ) from None


def page(benchmark: Benchmark, number: int = 1) -> str:
    """A hundred sites of the catalog with their periods as one HTML page; the first is 1."""
    template = files("pipeline.catalog").joinpath("browse.html").read_text(encoding="utf-8")
    root = json.loads((benchmark.stac / "catalog.json").read_text())
    hrefs = _sites(benchmark, root)
    pages = max(1, -(-len(hrefs) // A_PAGE))
    number = min(max(1, number), pages)
    shown = hrefs[(number - 1) * A_PAGE : number * A_PAGE]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        root=root, sites=[_site(benchmark, href) for href in shown], name=benchmark.name, number=number,
        pages=pages, count=len(hrefs), report=benchmark.report.is_file(),
        base=f"/{benchmark.stac.relative_to(benchmark.root).as_posix()}",
    )  # fmt: skip


def _sites(benchmark: Benchmark, root: dict[str, Any]) -> list[str]:
    """The hrefs of all sites' collections, from the root's own links or its areas'."""
    found = []
    for href in (link["href"] for link in root["links"] if link["rel"] == "child"):
        path = Path(href)
        if areas.FOLDER in path.parts:
            area = json.loads((benchmark.stac / path).read_text())
            links = [link["href"] for link in area["links"] if link["rel"] == "child"]
            found += [f"{Path(link).parent.name}/collection.json" for link in links]
        elif path.name == "collection.json" and path.parent.name != model_items.FOLDER:
            found.append(path.as_posix())
    return found


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


def _is_own_name(host: str) -> bool:
    """Whether a Host header names this machine's loopback."""
    try:
        return urlsplit(f"//{host}").hostname in OWN_NAMES
    except ValueError:
        return False


def _is_published(benchmark: Benchmark, file: Path) -> bool:
    """Whether a file is the catalog's, or one that its assets point to."""
    if file.is_relative_to(benchmark.stac.resolve()):
        return True
    data = benchmark.data.resolve()
    if not file.is_relative_to(data):
        return False
    folder, *rest = file.relative_to(data).parts
    if folder == "runs" and len(rest) == 2:
        return rest[1] == "model.pt" and (benchmark.stac / model_items.FOLDER / rest[0]).is_dir()
    return folder in PUBLISHED


class _Handler(SimpleHTTPRequestHandler):
    """Files of one benchmark, with byte ranges and open to other origins."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def __init__(self, *args: Any, benchmark: Benchmark, **more: Any) -> None:
        self.benchmark = benchmark
        self.left = 0
        super().__init__(*args, directory=str(benchmark.root.resolve()), **more)

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]
        """Headers of a whole file or of the range asked for; the body follows from `copyfile`."""
        if not _is_own_name(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "Ask for 127.0.0.1 or localhost")
            return None
        asked = urlsplit(self.path)
        if asked.path == "/":
            number = parse_qs(asked.query).get("page", ["1"])[0]
            return self._send_page(int(number) if number.isdecimal() and len(number) < 9 else 1)
        path = self._served(asked.path)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND, "Not part of this benchmark")
            return None
        size = path.stat().st_size
        first, last = _span(self.headers.get("Range"), size)
        partial_ = "Range" in self.headers
        if first > last and partial_:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
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

    def _served(self, path: str) -> Path | None:
        """The file of an address where it is one that is served; symbolic links lead nowhere."""
        try:
            file = Path(self.translate_path(path)).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        return file if file.is_file() and _is_published(self.benchmark, file) else None

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

    def _send_page(self, number: int) -> IO[bytes]:
        body = page(self.benchmark, number).encode()
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
