"""A STAC API's answers page by page, in pages as large as the service can send.

Services behind a gateway fail by the size of an answer: a Lambda's may have 6 MB, and 250 items of Sentinel-2
have 5.4 to 5.75 (Element84/earth-search #17, #55, #60).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from minebench.errors import WorkError
from pipeline.sources.stac.features import Name, name_of
from pipeline.web import client

PAGE, SMALLEST = 100, 12
"""Items asked for at a time: at first, and where nothing larger is answered."""
TRIES = 2
"""Of a page that may be too large; the smallest is tried as often as any other request."""
TOO_LARGE = frozenset({413, 500, 502, 504})
"""Statuses that a smaller page may mend."""

MOST_PAGES = 2_000
"""Pages of a search, beyond which a service is taken to go on for ever. All Landsats at a place where four
scenes overlap have some 9,000 items since 1982, 750 of the smallest pages; ten years of Sentinel-2 where four
tiles meet, each processed twice, have some 12,000, 1,000 of them."""

Page = dict[str, Any]
Ask = Callable[[int, int], Iterator[Page]]
"""All pages of a search, from the size of a page and the tries that each request has."""

_sizes: dict[str, int] = {}
_lock = threading.Lock()


def features(service: str, ask: Ask) -> Iterator[Any]:
    """All features that a search finds, each once, whatever they are. A smaller page starts the search anew:
    where a next page begins may depend on the pages' size."""
    seen: set[Name] = set()
    size = size_of(service)
    while True:
        tries = TRIES if size > SMALLEST else client.ATTEMPTS
        try:
            for page in _different(service, ask(size, tries)):
                _learn(service, size)
                new = {name: found for name, found in _named(page).items() if name not in seen}
                seen |= new.keys()
                yield from new.values()
            return
        except (client.Failed, client.Refused) as error:
            if error.status not in TOO_LARGE or size <= SMALLEST:
                raise
        size = max(SMALLEST, size // 2)


def _different(service: str, pages: Iterator[Page]) -> Iterator[Page]:
    """Pages while they differ, and no more than MOST_PAGES: a service that sends one again, or whose `next`
    always leads on, would never come to an end. An item may come twice, as archives grow."""
    seen: set[Name] = set()
    for count, page in enumerate(pages, 1):
        found = _named(page).keys()
        if count > 1 and found <= seen:
            raise WorkError(f"{client.redacted(service)} sends the same page of items again.")
        if count > MOST_PAGES:
            raise WorkError(
                f"{client.redacted(service)} leads on after {MOST_PAGES:,} pages of items for one site. It "
                "may not keep to the area and time that it is asked for: set source.collections, or name "
                "another service."
            )
        seen |= found
        yield page


def _named(page: Page) -> dict[Name, Any]:
    if not isinstance(page["features"], list):
        raise TypeError("features is no list")
    return {name_of(one): one for one in page["features"]}


def size_of(service: str) -> int:
    """Return the page, in items, that a service is asked for as far as this process has learnt."""
    return _sizes.get(service, PAGE)


def _learn(service: str, size: int) -> None:
    """Keep the largest page that is sent, for this process: what failed at every size teaches nothing."""
    if size < PAGE:
        with _lock:
            _sizes[service] = min(size, _sizes.get(service, PAGE))
