"""Checks of STAC APIs: landing page, credentials, sizes of pages, tokens, and dark water."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np

from minebench.errors import MinebenchError
from minebench.text import counted
from pipeline.doctor.known_catalogues import Question
from pipeline.doctor.seen import NotChecked, Seen, Verdict, judged
from pipeline.doctor.usual_checks import OF_AN_ADDRESS, tokens_asked
from pipeline.doctor.visit import Visit, area_of
from pipeline.geo.raster import is_remote
from pipeline.sensors import classes
from pipeline.sources.protocol import Scene
from pipeline.sources.stac import Options, paging, signing, web_catalog
from pipeline.sources.stac.buckets import KEYS, SCHEME, TOKEN, KeySigner
from pipeline.sources.stac.items import StacSource
from pipeline.web import client

SMALL_PX = 16
"""Side of the window that is read at each of many places, pixels."""
AT_ONCE = 8
"""Places that are read at a time."""
FEWEST_WATER = 400
"""Fewest pixels of water that the check of dark water needs."""


def options_of(visit: Visit) -> Options:
    """Return the options of a STAC source."""
    return cast(Options, visit.options)


def source_of(visit: Visit) -> StacSource:
    """Return the open STAC source."""
    return cast(StacSource, visit.source)


def reach(visit: Visit) -> Seen:
    """Read the landing page; of a file, check that it is there."""
    href = options_of(visit).href
    if not is_remote(href):
        return judged(f"the file is {'' if Path(href).is_file() else 'not '}there", Path(href).is_file())
    page = _landing(visit)
    return judged(f"{page.get('type')} '{page.get('id')}', STAC {page.get('stac_version')}", "links" in page)


def _landing(visit: Visit) -> dict[str, Any]:
    href = options_of(visit).href
    page = visit.once("reach", lambda: client.get_json(href, parallel=options_of(visit).parallel))
    if not isinstance(page, dict):
        raise client.Refused(f"{client.redacted(href)} is no STAC object.")
    return page


def conforms(visit: Visit) -> Seen:
    """Find the search endpoint, and check that the landing page names it in conformsTo."""
    options = options_of(visit)
    classes_stated = [str(name) for name in _landing(visit).get("conformsTo") or ()]
    entrance = web_catalog.entrance(options.href, options.parallel)
    if entrance.is_static:
        return judged("a static catalog, without a search", False)
    names_search = any("item-search" in name for name in classes_stated)
    verb = "names" if names_search else "does not name"
    return judged(f"search at {entrance.search}; conformsTo {verb} item-search", names_search)


def sign_in(visit: Visit) -> Seen:
    """Get a token, or report the names of the keys that are set. Only a read shows whether keys are valid."""
    options = options_of(visit)
    if service := signing.service_of(options):
        collection = options.collections[0] if options.collections else visit.scene.collection
        with_key = "with" if signing.has_key(service) else "without"
        visit.once("sign-in", lambda: signing.signer(options, collection)(f"https://any{signing.STORAGE}/"))
        return Seen(f"a token of {client.host(service)} for {collection}, {with_key} {signing.KEY_VARIABLE}")
    scene = visit.scene
    if scene.flaw.startswith(OF_AN_ADDRESS):
        return Seen(scene.flaw, Verdict.FAILED)
    return Seen(_keys(visit, scene))


def _keys(visit: Visit, scene: Scene) -> str:
    """Return which keys are set for a scene's addresses, in words and by their names alone."""
    asset = next(iter(scene.assets.values()), None)
    if asset is None or not asset.href.startswith(SCHEME):
        return "addresses need no key"
    signer = source_of(visit).addresses.buckets.signer(asset.href, asset.region)
    if not isinstance(signer, KeySigner):
        return "addresses in a public bucket, which needs no key"
    payer = "; you pay for what is read" if signer.pays else ""
    return f"set: {', '.join(name for name in (*KEYS, TOKEN) if os.environ.get(name))}{payer}"


def page_of(size: int) -> Callable[[Visit], Seen]:
    """Return the check that a search with `limit` = `size` is answered with a full page."""

    def page(visit: Visit) -> Seen:
        question = many_items(visit)
        ask = source_of(visit).asking(area_of(question.place), question.start, question.end)
        try:
            answer: paging.Page = next(iter(ask(size, 1)), {"features": []})
        except (client.Failed, client.Refused) as error:
            if error.status not in paging.TOO_LARGE:
                raise
            return judged(f"HTTP {error.status}", size > paging.PAGE)
        count = len(answer["features"])
        if count < size and not any(link.get("rel") == "next" for link in answer.get("links", ())):
            raise NotChecked(f"{count} items are all that there are")
        return judged(f"{count} items", count == size or count >= paging.PAGE)

    return page


def many_items(visit: Visit) -> Question:
    """Return a place and dates with hundreds of items."""
    ask = visit.catalogue.ask
    years = date(ask.start.year - 1, 1, 1), date(ask.start.year + 2, 1, 1)
    return visit.catalogue.crowded or Question(ask.place, *years)


def whole_year(visit: Visit) -> Seen:
    """Search a whole year where four tiles meet, page by page."""
    question = many_items(visit)
    scenes = visit.source.search(area_of(question.place), question.start, question.end)
    size = paging.size_of(options_of(visit).href)
    return judged(f"{len(scenes)} scenes, in pages of {size}", bool(scenes) and size == paging.PAGE)


def dark_water(visit: Visit) -> Seen:
    """Count pixels of water that are stored as 0, which would be taken for nodata."""
    question = visit.catalogue.water
    assert question is not None  # only a catalogue with such a place has this line
    scenes = visit.source.search(area_of(question.place), question.start, question.end)
    if not scenes:
        raise NotChecked("the search found no scene")
    usable = [scene for scene in scenes if not scene.flaw] or scenes
    grid = visit.window(visit.clearest_readable(usable), question.place)
    for look in visit.clearest_looks(usable, grid):
        assert look.classes is not None  # Sentinel-2 has a mask
        water = look.classes == classes.WATER
        if water.sum() >= FEWEST_WATER:
            break
    else:
        raise NotChecked(f"fewer than {FEWEST_WATER} pixels are water in the clearest scenes")
    stored = visit.source.read(look.scene.as_stored, visit.bands, look.grid)[:, water]
    zeros = ", ".join(
        f"{band} {(numbers == 0).mean():.1%}" for band, numbers in zip(visit.bands, stored, strict=True)
    )
    text = f"{look.scene.id}: {water.sum()} pixels of water, of them 0: {zeros}"
    return judged(text, bool((stored > 0).all()))


def many_places(visit: Visit) -> Seen:
    """Read a few pixels at each of many places in parallel, and count the token requests."""
    service, places = signing.service_of(options_of(visit)), visit.catalogue.places

    def read(place: tuple[float, float]) -> str:
        """Return why a place could not be read; empty if it was."""
        ask = visit.catalogue.ask
        try:
            scenes = visit.source.search(area_of(place), ask.start, ask.end)
            scene = visit.clearest_readable(scenes)
            grid = visit.window(scene, place)[:SMALL_PX, :SMALL_PX]
            return "" if np.asarray(visit.source.read(scene, visit.bands[:1], grid)).size else "no pixels"
        except (MinebenchError, NotChecked) as error:
            return str(error)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(copy_context().run, read, place) for place in places]
        failures = [why for job in jobs if (why := job.result())]
    tokens, throttled = tokens_asked(visit, service), visit.answered(429)
    text = f"{len(places) - len(failures)} of {len(places)} places read, {counted(tokens, 'token request')}"
    text += f", {throttled} x 429" + (f"; {failures[0]}" if failures else "")
    return judged(text, not failures and tokens <= 1 and not throttled)
