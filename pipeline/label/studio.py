"""Command `label`: the labelling studio, served to a browser on this machine.

    /<token>/                                   the page
    /<token>/sites                              the sites that have images, and which of them are begun
    /<token>/next                               the dates that are not labelled, the most telling first
    /<token>/site/<id>                          a site: periods, grid, what is to be labelled
    /<token>/site/<id>/image/<period>.png       an image as it is looked at
    /<token>/site/<id>/preview                  the region under the pointer
    /<token>/site/<id>/label                    a period's label as it stands
    /<token>/site/<id>/predicted                what a trained run would outline
    /<token>/site/<id>/state                    what somebody else may have done
    /<token>/site/<id>/step                     POST: a step of an annotator

Only on the loopback address, only with the token in the address, and from no other page.
"""

import io
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from minebench.cube import store
from minebench.errors import InputError, MinebenchError, NotMadeYet, explained
from minebench.layout import BenchmarkPaths
from pipeline.label import edits, predicted, steps
from pipeline.label.builder import Builder
from pipeline.label.journal import FOLDER
from pipeline.label.session import Overtaken, Session, subjects_of
from pipeline.publish import contents
from pipeline.publish.browse import OWN_NAMES
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.stac import assets

PAGE = Path(__file__).with_name("studio")
MOST_NEXT = 100
SAMPLED = 512
"""Rows and columns, about, of which a site's range of brightness is taken."""
LARGEST_STEP = 2**22
"""Bytes of a step: an outline of a hundred thousand corners."""
LOOKS = ("true", "false")
ELSEWHERE = "This page is of an earlier start: open the address that `minebench label` printed.\n"
"""Said of every address without the token. The token is told to nobody who has only an earlier one: a page
tells the earlier one to whoever listens at its port, and between two starts that may be another user of this
machine."""
FALSE_COLOUR = ("swir16", "nir", "red")


class Studio:
    """A benchmark's sites, opened when they are asked for. `runs` are trained models to begin with, labels go
    into `folder`."""

    def __init__(self, benchmark: BenchmarkPaths, recipe: Recipe, runs: list[str], folder: Path) -> None:
        self.benchmark, self.recipe, self.builder = benchmark, recipe, Builder()
        self.runs, self.folder = runs, folder
        self.sites = {site.site_id: site for site in sites.load(benchmark, recipe)}
        self.lock, self.sessions = threading.Lock(), dict[str, Session]()
        self.looks: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}
        if not any(store.periods_of(benchmark.cube(name)) for name in self.sites):
            raise NotMadeYet("No site has an image to label: run `minebench compose` first.")

    def session(self, site_id: str) -> Session:
        if site_id not in self.sites:
            raise InputError(f"There is no site '{site_id}' in this benchmark.")
        with self.lock:
            if site_id not in self.sessions:
                site = self.sites[site_id]
                self.sessions[site_id] = Session(self.benchmark, self.recipe, site, self.builder, self.folder)
            return self.sessions[site_id]

    def listed(self) -> list[dict[str, Any]]:
        """The sites that have images, and whether somebody has begun to label them."""
        begun = {path.stem for path in (self.folder / FOLDER).glob("*.jsonl")}
        return [
            {
                "id": site.site_id,
                "label": site.label,
                "country": site.country,
                "begun": site.site_id in begun,
            }
            for site in self.sites.values()
            if store.periods_of(self.benchmark.cube(site.site_id))
        ]

    def next(self) -> list[dict[str, Any]]:
        """Dates that are not labelled, those first from which the models would learn most."""
        open_ = [(site["id"], subject) for site in self.listed() for subject in self._open(site["id"])]
        ranks = predicted.ranked(self.benchmark, self.runs, open_)
        return [{**asdict(rank), "worth": rank.worth} for rank in ranks[:MOST_NEXT]]

    def _open(self, site_id: str) -> list[str]:
        """The dates of a site that are not labelled yet."""
        if not (self.folder / FOLDER / f"{site_id}.jsonl").is_file():
            return subjects_of(self.benchmark.cube(site_id), self.recipe)
        return [
            subject for subject, mark in self.session(site_id).state()["marks"].items() if mark == edits.OPEN
        ]

    def picture(self, session: Session, period: str, look: str) -> bytes:
        """An image as PNG, true colour or false; black where there is no data."""
        pixels = session.image(period)
        if look not in LOOKS:
            raise InputError(f"'{look}' is no look: use {' or '.join(LOOKS)}.")
        names = self.recipe.sensor.rgb if look == "true" else self._false_colour()
        recipe = self.recipe
        if names != recipe.sensor.rgb:
            recipe = recipe.model_copy(update={"sensor": recipe.sensor.model_copy(update={"rgb": names})})
        # One range for all dates of a site: what looks changed has changed.
        key = (session.site.site_id, look)
        if key not in self.looks:
            step = max(1, max(session.site.shape) // SAMPLED)
            every = np.stack([session.image(label)[:, ::step, ::step] for label in session.periods])
            self.looks[key] = partial(assets.shown, recipe=recipe, look=assets.stretch(every, recipe))
        into = io.BytesIO()
        Image.fromarray(np.moveaxis(self.looks[key](pixels), 0, -1)).save(into, "PNG", compress_level=1)
        return into.getvalue()

    def has_false_colour(self) -> bool:
        return all(name in self._common() for name in FALSE_COLOUR)

    def _false_colour(self) -> tuple[str, ...]:
        if not self.has_false_colour():
            raise InputError(
                "This sensor's bands make no false colour: it takes SWIR, near infrared and red."
            )
        return tuple(self._common()[name] for name in FALSE_COLOUR)

    def _common(self) -> dict[str, str]:
        known = self.recipe.profile.common
        return {known[band]: band for band in reversed(self.recipe.sensor.bands) if band in known}


STEPS: dict[str, Callable[..., object]] = {
    "click": Session.click, "draw": Session.draw, "carry": Session.carry, "answer": Session.answer,
    "same": Session.same, "model": Session.model, "mark": Session.set_mark, "undo": Session.undo,
    "redo": Session.redo,
}  # fmt: skip


def app(studio: Studio, token: str) -> Starlette:
    """What is served below the token."""

    def told(work: Callable[[Request], Any]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return JSONResponse(work(request))
            except Overtaken as error:
                return JSONResponse({"said": str(error)}, 409)
            except MinebenchError as error:
                return JSONResponse({"said": str(error)}, 400)
            except OSError as error:
                known = explained(error)
                return JSONResponse({"said": f"Nothing was saved: {known or error}"}, 507)

        return answer

    def session_of(request: Request) -> Session:
        return studio.session(request.path_params["site"])

    def described(request: Request) -> dict[str, Any]:
        session = session_of(request)
        return {
            "id": session.site.site_id,
            "label": session.site.label,
            "shape": session.site.shape,
            "pixel_m": studio.recipe.sensor.resolution,
            "synthetic": studio.recipe.source.is_synthetic,
            "periods": session.periods,
            "subjects": session.subjects,
            "runs": studio.runs,
            "colours": assets.colours_of(studio.recipe),
            "looks": ["true", *(["false"] if studio.has_false_colour() else [])],
            **session.state(),
        }

    def preview(request: Request) -> dict[str, Any]:
        given = steps.question(steps.Preview, dict(request.query_params))
        return session_of(request).preview(**given)

    def outlined(request: Request) -> dict[str, Any]:
        given = steps.question(steps.Predicted, dict(request.query_params))
        return session_of(request).predicted(**given)

    def label(request: Request) -> dict[str, Any]:
        subject = steps.question(steps.Label, dict(request.query_params))["subject"]
        session = session_of(request)
        found = session.label(subject)
        session.prepare(subject)
        return found

    def step(request: Request, body: bytes) -> dict[str, Any]:
        what, given = steps.step(body)
        session = session_of(request)
        found = STEPS[what](session, **given)
        subject = given.get("subject", found)
        return {**session.label(subject), "subject": subject, "marks": session.state()["marks"]}

    async def posted(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin and origin != f"{request.url.scheme}://{request.headers.get('host')}":
            raise HTTPException(403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_STEP:
                raise HTTPException(413, "A step has 4 MB at most: draw the outline in parts.")
        return await run_in_threadpool(told(lambda r: step(r, body)), request)

    def picture(request: Request) -> Response:
        try:
            look = request.query_params.get("look", "true")
            content = studio.picture(session_of(request), request.path_params["period"], look)
        except MinebenchError as error:
            return JSONResponse({"said": str(error)}, 400)
        return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})

    def page(_request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    known = {path.name: path for folder in (PAGE, contents.FOLDER / "vendor") for path in folder.iterdir()}

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in known:
            raise HTTPException(404)
        return FileResponse(known[name])

    site = "/site/{site}"
    routes = [
        Route("/", page),
        Route("/sites", told(lambda _: studio.listed())),
        Route("/next", told(lambda _: studio.next())),
        Route(site, told(described)),
        Route(f"{site}/image/{{period}}.png", picture),
        Route(f"{site}/preview", told(preview)),
        Route(f"{site}/predicted", told(outlined)),
        Route(f"{site}/label", told(label)),
        Route(f"{site}/state", told(lambda request: session_of(request).state())),
        Route(f"{site}/step", posted, methods=["POST"]),
        Route("/{name}", file),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=OWN_NAMES)]

    def not_found(request: Request, _: Exception) -> Response:
        is_here = request.url.path.startswith(f"/{token}/")
        return PlainTextResponse("The studio has nothing there.\n" if is_here else ELSEWHERE, 404)

    return Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        middleware=middleware,
        exception_handlers={404: not_found},
    )


def token() -> str:
    """What the address must have in it."""
    return secrets.token_urlsafe(16)


def serve(studio: Studio, own: socket.socket, secret: str) -> None:
    """Serve until the process is told to end."""
    config = uvicorn.Config(
        app(studio, secret), log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[own])
