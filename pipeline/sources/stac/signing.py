"""Signed addresses as Planetary Computer hands them out: a token a collection, for a while."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pipeline.core import web
from pipeline.geo.remote import Signer, Unsigned

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

KNOWN = {"planetarycomputer.microsoft.com": "https://planetarycomputer.microsoft.com/api/sas/v1/token"}
"""STAC API's host to its token service."""
EARLY = timedelta(minutes=5)
"""A token is fetched anew this long before it runs out."""


class TokenSigner:
    """See `pipeline.geo.remote.Signer`. One token for one collection, shared by all threads."""

    def __init__(self, service: str, collection: str) -> None:
        self.service, self.collection = service.rstrip("/"), collection
        self.lock = threading.Lock()
        self.token, self.until = "", datetime.min.replace(tzinfo=UTC)

    def __call__(self, url: str) -> str:
        with self.lock:
            if datetime.now(UTC) + EARLY >= self.until:
                self._fetch()
            return f"{url}{'&' if '?' in url else '?'}{self.token}"

    def renew(self) -> None:
        with self.lock:
            self.until = datetime.min.replace(tzinfo=UTC)

    def _fetch(self) -> None:
        address = f"{self.service}/{quote(self.collection, safe='')}"
        answer = web.get_json(address)
        try:
            self.until = datetime.fromisoformat(answer["msft:expiry"])
            self.token = str(answer["token"])
        except (KeyError, TypeError, ValueError):
            raise web.Refused(f"{address} did not answer with a token and its expiry.") from None


def signer(options: Options, collection: str) -> Signer:
    """The signer for a collection's assets; addresses stay as they are where none is needed."""
    service = options.sign or KNOWN.get(urlsplit(options.href).hostname or "")
    return TokenSigner(service, collection) if service else Unsigned()
