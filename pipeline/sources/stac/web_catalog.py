"""What is at a STAC address: an API with a search, or a static catalog, which is walked object by object."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from minebench.errors import WorkError
from minebench.progress import progress
from pipeline.core import limits
from pipeline.geo.raster import is_remote
from pipeline.sources.stac import features
from pipeline.sources.stac.features import Entry
from pipeline.web import client

LARGEST = 20_000
"""Objects of a static catalog that are read: each is a request."""
DEEPEST = 12
"""Levels of catalogs below the first; hives by year, month, day and tile have six."""

_lock = threading.Lock()
_read: dict[str, tuple[Entry, ...]] = {}
"""Static catalogs that were read in this process, by address."""


@dataclass(frozen=True)
class Entrance:
    """Where an API is searched, or that there is a static catalog."""

    search: str
    is_static: bool


@lru_cache(maxsize=4)
def entrance(href: str, parallel: int) -> Entrance:
    """What is at an address, by its links: `conformsTo` is not asked, as Earth Search v0 searches well and
    names no item-search there."""
    page = _object(href, parallel)
    links = _links(page, href)
    search = next((link.href for link in links if link.rel == "search" and is_remote(link.href)), "")
    if search:
        return Entrance(client.followed(href, search), False)
    leads_on = any(link.rel in ("item", "child") for link in links)
    is_api = "conformsTo" in page or not leads_on
    if is_api and _searches(_beside(href), parallel):
        return Entrance(_beside(href), False)
    if leads_on:
        return Entrance("", True)
    raise WorkError(
        f"source.href: {client.redacted(href)} is neither a STAC API (it links to no search, and there is "
        f"none at {client.redacted(_beside(href))}) nor a static catalog (it links to no items)."
    )


def items(href: str, parallel: int) -> tuple[Entry, ...]:
    """All items of a static catalog, read once in a process."""
    with _lock:
        if href not in _read:
            _read[href] = tuple(_walk(href, parallel))
        return _read[href]


def _walk(href: str, parallel: int) -> Iterator[Entry]:
    """Items level by level; each object once, however often it is linked to."""
    level, seen = [href], {_plain(href)}
    for _ in range(DEEPEST + 1):
        below: list[str] = []
        for url, page in zip(level, _objects(level, parallel), strict=True):
            if page.get("type") == "Feature":
                yield features.read(page, url)
                continue
            for link in _links(page, url):
                if link.rel in ("item", "child") and _plain(link.href) not in seen:
                    below.append(_inside(link.href, href))
                    seen.add(_plain(link.href))
            if len(seen) > LARGEST:
                raise WorkError(
                    f"source.href: {client.redacted(href)} has more than {LARGEST:,} objects; name a part of "
                    "it, or a STAC API that serves it."
                )
        if not below:
            return
        level = below
    raise WorkError(
        f"source.href: {client.redacted(href)} has more than {DEEPEST} levels of catalogs; name a part of it."
    )


def _objects(urls: Sequence[str], parallel: int) -> list[dict[str, Any]]:
    with (
        progress("catalog", len(urls), "objects", inside=True) as advance,
        ThreadPoolExecutor(limits.threads_for(parallel)) as pool,
    ):

        def read(url: str) -> dict[str, Any]:
            found = _object(url, parallel)
            advance()
            return found

        jobs = [pool.submit(copy_context().run, read, url) for url in urls]
        try:
            return [job.result() for job in jobs]
        finally:
            for job in jobs:
                job.cancel()


def _object(url: str, parallel: int) -> dict[str, Any]:
    found = client.get_json(url, parallel=parallel)
    if not isinstance(found, dict):
        raise WorkError(f"{client.redacted(url)} is no STAC object.")
    return found


@dataclass(frozen=True)
class _Link:
    rel: str
    href: str


def _links(page: dict[str, Any], url: str) -> list[_Link]:
    """The links of an object to JSON, with their whole addresses."""
    links = page.get("links", [])
    if not isinstance(links, list):
        raise WorkError(f"{client.redacted(url)} has no list of links; it is no STAC object.")
    return [
        _Link(link["rel"], urljoin(url, link["href"]))
        for link in links
        if isinstance(link, dict)
        and isinstance(link.get("rel"), str)
        and isinstance(link.get("href"), str)
        and "json" in str(link.get("type") or "json")
    ]


def _inside(url: str, href: str) -> str:
    """An address that a static catalog may lead to: one on its own host."""
    try:
        return client.followed(href, url)
    except client.Refused:
        raise WorkError(
            f"source.href: {client.redacted(href)} links to another host, {client.host(url)}, which is not "
            "followed; download that catalog, or name its own address."
        ) from None


def _beside(href: str) -> str:
    """Where an API at an address has its search."""
    parts = urlsplit(href)
    return parts._replace(path=f"{parts.path.rstrip('/')}/search", fragment="").geturl()


def _searches(url: str, parallel: int) -> bool:
    """Whether an address answers a search for one item."""
    try:
        found = client.get_json(f"{url}{'&' if '?' in url else '?'}limit=1", parallel=parallel)
    except client.Refused as error:
        # Searches that take POST alone refuse GET so.
        return error.status == 405
    return isinstance(found, dict) and isinstance(found.get("features"), list)


def _plain(url: str) -> str:
    """An address without what names a part of a page."""
    return urlsplit(url)._replace(fragment="").geturl()
