"""Command `browse`: serve a benchmark on this machine, for browsers, STAC clients and GIS.

    /                            the viewer (`pipeline.publish.viewer`)
    /catalogs/<b>/stac/...       the catalog, for STAC clients
    /data/<b>/...                cubes, tables, maps and models that its assets point to

The same folder that `publish` writes, by the same addresses. Starlette answers byte ranges, which COG and
Zarr readers ask for, and other origins, so that a STAC browser in the same web browser can read it. Nothing
else of the repository is served, and nobody who calls this machine by another name than its own (a page
elsewhere could have its name point here).
"""

import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from minebench.errors import NotMadeYet, WorkError
from minebench.layout import BenchmarkPaths
from pipeline.publish import contents
from pipeline.recipe import Recipe

TYPES = {
    ".json": "application/json", ".geojson": "application/geo+json", ".tif": "image/tiff",
    ".js": "text/javascript", ".md": "text/plain",
}  # fmt: skip
OWN_NAMES = ["localhost", "127.0.0.1"]
EXPOSED = ["Content-Range", "Content-Length", "Accept-Ranges"]


def listening(port: int) -> socket.socket:
    """A socket on the loopback address; port 0 takes a free one. WorkError where it is taken."""
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind(("127.0.0.1", port))
        own.listen(2048)  # who asks before the server has begun waits
    except OSError as error:
        own.close()
        raise WorkError(
            f"Port {port} cannot be used ({error.strerror}): choose another with --port."
        ) from None
    return own


def serve(benchmark: BenchmarkPaths, recipe: Recipe, own: socket.socket) -> None:
    """Serve until the process is told to end."""
    served = app(benchmark, recipe)
    config = uvicorn.Config(served, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[own])


def app(benchmark: BenchmarkPaths, recipe: Recipe) -> Starlette:
    """What is served. NotMadeYet without a catalog."""
    if not (benchmark.stac / "catalog.json").is_file():
        raise NotMadeYet(f"{benchmark.stac / 'catalog.json'} is missing: run `minebench catalog` first.")
    page = contents.page(benchmark, recipe.title)

    def index(_request: Request) -> Response:
        return HTMLResponse(page)

    def file(request: Request) -> Response:
        path = found(benchmark, request.path_params["path"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type=TYPES.get(path.suffix))

    def missing(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("There is no such file in this benchmark.", 404)

    routes = [Route("/", index), Route("/index.html", index), Route("/{path:path}", file)]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=OWN_NAMES),
        Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["Range"], expose_headers=EXPOSED),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={404: missing})


def found(benchmark: BenchmarkPaths, path: str) -> Path | None:
    """The file of an address where it is one that is served; symbolic links lead nowhere else."""
    inside, _, own = path.partition("/")
    base = contents.FOLDER.parent if inside == contents.FOLDER.name and own else benchmark.root
    try:
        file = (base / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    is_viewers = file.is_relative_to(contents.FOLDER.resolve())
    return file if file.is_file() and (is_viewers or contents.is_published(benchmark, file)) else None
