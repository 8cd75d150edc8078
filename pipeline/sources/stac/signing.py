"""Signed addresses as Planetary Computer hands them out: a token a collection, for a while."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pipeline.core import web
from pipeline.core.errors import WorkError
from pipeline.geo.remote import Signer, Unsigned

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

KNOWN = {"planetarycomputer.microsoft.com": "https://planetarycomputer.microsoft.com/api/sas/v1/token"}
"""STAC API's host to its token service."""
KEY_VARIABLE, KEY_HEADER = "PC_SDK_SUBSCRIPTION_KEY", "Ocp-Apim-Subscription-Key"
"""A user's key for fewer limits, named as by Planetary Computer's SDK. Only the known services are sent it:
source.sign may stand in a recipe that somebody else wrote."""
EARLY = timedelta(minutes=5)
"""A token is fetched anew this long before it runs out."""
REFUSALS = 3
"""Tokens in a row that the files' server refuses before it is asked no more."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class TokenSigner:
    """See `pipeline.geo.remote.Signer`. One token for one collection, shared by all threads."""

    def __init__(self, service: str, collection: str) -> None:
        self.service, self.collection = service.rstrip("/"), collection
        self.lock = threading.Lock()
        self.token, self.until = "", LONG_AGO
        self.refused = 0
        self.failure, self.failed_at = "", 0.0
        self.mine = threading.local()

    def __call__(self, url: str) -> str:
        asked_at = time.monotonic()
        with self.lock:
            if datetime.now(UTC) + EARLY >= self.until:
                self._fetch_once(asked_at)
            self.mine.token = self.token
            return f"{url}{'&' if '?' in url else '?'}{self.token}"

    def renew(self) -> bool:
        with self.lock:
            # Another thread may have renewed it since this one was refused.
            if getattr(self.mine, "token", "") == self.token:
                self.refused += 1
                if self.refused >= REFUSALS:
                    raise web.Refused(self._all_refused())
                self.until = LONG_AGO
        return True

    def accept(self) -> None:
        self.refused = 0

    def _all_refused(self) -> str:
        return (
            f"The files of {self.collection} were refused with {REFUSALS} tokens of {self._name()} in a row: "
            "source.sign may name the wrong token service, or the collection is not open to all."
        )

    def _name(self) -> str:
        return web.redacted(self.service)

    def _fetch_once(self, asked_at: float) -> None:
        """Fetch a token; what failed while this thread waited is not asked for again."""
        if self.failed_at >= asked_at:
            raise WorkError(self.failure)
        try:
            self._fetch()
        except WorkError as error:
            self.failure, self.failed_at = str(error), time.monotonic()
            raise

    def _fetch(self) -> None:
        address = f"{self.service}/{quote(self.collection, safe='')}"
        try:
            self.token, self.until = _read(web.get_json(address, headers=_key(self.service)))
        except (web.Refused, web.Failed) as error:
            raise WorkError(self._without_token(error.status, str(error))) from None
        except (KeyError, TypeError, ValueError):
            raise WorkError(
                f"{web.redacted(address)} answers without token and msft:expiry; correct source.sign, the "
                "token service."
            ) from None

    def _without_token(self, status: int, text: str) -> str:
        """Why the token service gives no token."""
        if status in (401, 403) and _key(self.service):
            return f"{self._name()} refuses the key in {KEY_VARIABLE} (HTTP {status}): correct or unset it."
        if status in (404, 410):
            return (
                f"{self._name()} has no token for {self.collection} (HTTP {status}); correct source.sign or "
                "source.collections."
            )
        return f"There is no token for {self.collection}: {text}"


def _read(answer: Any) -> tuple[str, datetime]:
    """The token of an answer and when it runs out; UTC where that has no zone."""
    until = datetime.fromisoformat(answer["msft:expiry"])
    if not isinstance(answer["token"], str) or not answer["token"]:
        raise ValueError("token")
    return answer["token"].lstrip("?"), until if until.tzinfo else until.replace(tzinfo=UTC)


def has_key(service: str) -> bool:
    """Return whether a token service is sent the user's key."""
    return bool(_key(service))


def _key(service: str) -> dict[str, str]:
    """The header with the user's key, for a service that it is meant for."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    known = {urlsplit(address)[:2] for address in KNOWN.values()}
    return {KEY_HEADER: key} if key and urlsplit(service)[:2] in known else {}


_signers: dict[tuple[str, str], TokenSigner] = {}
_lock = threading.Lock()


def service_of(options: Options) -> str:
    """Return the token service of a source; empty where its addresses need no token."""
    return options.sign or KNOWN.get(urlsplit(options.href).hostname or "", "")


def signer(options: Options, collection: str) -> Signer:
    """The process's signer for a collection's assets; addresses stay as they are where none is needed."""
    service = service_of(options)
    if not service:
        return Unsigned()
    with _lock:
        return _signers.setdefault((service, collection), TokenSigner(service, collection))
