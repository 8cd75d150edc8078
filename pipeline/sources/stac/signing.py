"""Signed addresses as Planetary Computer hands them out: a token a collection, for a while.

A token is for a storage account, which the token service does not name and an item may name wrongly. It is
added to addresses of Azure's storage by https, as Planetary Computer's own client does, and to those of hosts
that the recipe names (its token service's, its catalog's, source.sign_hosts); all others are read without.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pipeline.core import origins, web
from pipeline.core.errors import InputError, WorkError
from pipeline.geo.raster import is_remote
from pipeline.geo.remote import Signer, Unsigned

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

KNOWN = {"planetarycomputer.microsoft.com": "https://planetarycomputer.microsoft.com/api/sas/v1/token"}
"""STAC API's host to its token service."""
KEY_VARIABLE, KEY_HEADER = "PC_SDK_SUBSCRIPTION_KEY", "Ocp-Apim-Subscription-Key"
"""A user's key for fewer limits, named as by Planetary Computer's SDK. Only the known services are sent it:
source.sign may stand in a recipe that somebody else wrote."""
STORAGE = ".blob.core.windows.net"
"""What hosts of Azure's storage end in, the only ones that Planetary Computer's tokens are for."""
EARLY = timedelta(minutes=5)
"""A token is fetched anew this long before it runs out."""
REFUSALS = 3
"""Tokens in a row that the files' server refuses before it is asked no more."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class TokenSigner:
    """See `pipeline.geo.remote.Signer`. One token for one collection, shared by all threads. `hosts` take it
    beside Azure's storage: whole addresses, or hosts by https."""

    def __init__(self, service: str, collection: str, hosts: Iterable[str] = ()) -> None:
        self.service, self.collection = service.rstrip("/"), collection
        self.takers = frozenset(map(_taker, hosts))
        self.lock = threading.Lock()
        self.token, self.until = "", LONG_AGO
        self.refused = 0
        self.failure, self.failed_at = "", 0.0
        self.mine = threading.local()

    def __call__(self, url: str) -> str:
        asked_at = time.monotonic()
        self.mine.stranger = self._stranger(url)
        if self.mine.stranger:
            return url
        with self.lock:
            if datetime.now(UTC) + EARLY >= self.until:
                self._fetch_once(asked_at)
            self.mine.token = self.token
            return f"{url}{'&' if '?' in url else '?'}{self.token}"

    def _stranger(self, url: str) -> str:
        """The host of an address that does not get the token; empty where it gets it."""
        try:
            origin = origins.of(url)
        except ValueError:
            return "no host"
        is_safe = origin.scheme == "https" or origins.is_loopback(origin.host)
        is_azure = origin.host.endswith(STORAGE) and origin.port == origins.PORTS["https"]
        return "" if is_safe and (is_azure or origin in self.takers) else web.host(url)

    def renew(self) -> bool:
        if stranger := getattr(self.mine, "stranger", ""):
            raise web.Refused(
                f"{stranger} refused a file of {self.collection}, and the tokens of {self._name()} are not "
                f"sent there: they are for https addresses in *{STORAGE} and the hosts in source.sign_hosts."
            )
        with self.lock:
            # Another thread may have renewed it since this one was refused.
            if getattr(self.mine, "token", "") == self.token:
                self.refused += 1
                if self.refused >= REFUSALS:
                    raise web.Refused(self._all_refused())
                self.until = LONG_AGO
        return True

    def accept(self) -> None:
        if not getattr(self.mine, "stranger", ""):
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


_signers: dict[tuple[str, str, tuple[str, ...]], TokenSigner] = {}
_lock = threading.Lock()


def service_of(options: Options) -> str:
    """Return the token service of a source; empty where its addresses need no token."""
    return options.sign or KNOWN.get(urlsplit(options.href).hostname or "", "")


def signer(options: Options, collection: str) -> Signer:
    """The process's signer for a collection's assets; addresses stay as they are where none is needed."""
    service = service_of(options)
    if not service:
        return Unsigned()
    hosts = _hosts(options, service)
    with _lock:
        key = service, collection, hosts
        return _signers.setdefault(key, TokenSigner(service, collection, hosts))


def _hosts(options: Options, service: str) -> tuple[str, ...]:
    """Whose addresses get a service's tokens, beside Azure's storage. Planetary Computer's are for nobody
    else."""
    if service.rstrip("/") in KNOWN.values():
        return ()
    return (service, *([options.href] if is_remote(options.href) else []), *options.sign_hosts)


def _taker(host: str) -> origins.Origin:
    try:
        return origins.of(host if "://" in host else f"https://{host}")
    except ValueError:
        raise InputError(f"source.sign_hosts: {web.redacted(host)} is no host.") from None
