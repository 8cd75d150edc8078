"""Sign addresses with a token per collection that expires, as Planetary Computer does.

A token is valid for one storage account. The token service does not say which, and an item could name any
host. So the token is added only to https addresses in Azure's storage, as Planetary Computer's own client
does, and to hosts that the recipe names: its token service's, its catalog's and source.sign_hosts. Other
files are read without it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from minebench.errors import InputError, WorkError
from pipeline.geo.raster import is_remote
from pipeline.geo.remote import Signer, Unsigned
from pipeline.web import client, origins

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

KNOWN = {"planetarycomputer.microsoft.com": "https://planetarycomputer.microsoft.com/api/sas/v1/token"}
"""Host of a STAC API to the address of its token service."""
KEY_VARIABLE, KEY_HEADER = "PC_SDK_SUBSCRIPTION_KEY", "Ocp-Apim-Subscription-Key"
"""Variable and header of a user's key for higher rate limits, as in Planetary Computer's SDK. It is sent only
to the services in KNOWN: a recipe that somebody else wrote could name any other in source.sign."""
STORAGE = ".blob.core.windows.net"
"""End of the names of Azure's storage hosts, the only ones that Planetary Computer's tokens are for."""
EARLY = timedelta(minutes=5)
"""A new token is fetched this long before the old one expires."""
REFUSALS = 3
"""Tokens that the server of the files may refuse in a row before reading ends with an error."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class TokenSigner:
    """See `pipeline.geo.remote.Signer`. One token for one collection, shared by all threads.

    `hosts` get the token besides Azure's storage; each is an address, or a host that is read by https.
    """

    def __init__(self, service: str, collection: str, hosts: Iterable[str] = ()) -> None:
        self.service, self.collection = service.rstrip("/"), collection
        self.token_origins = frozenset(map(_origin, hosts))
        self.lock = threading.Lock()
        self.token, self.until = "", LONG_AGO
        self.refused = 0
        self.failure, self.failed_at = "", 0.0
        self.thread = threading.local()

    def __call__(self, url: str) -> str:
        called_at = time.monotonic()
        self.thread.untrusted = self._untrusted_host(url)
        if self.thread.untrusted:
            return url
        with self.lock:
            if datetime.now(UTC) + EARLY >= self.until:
                self._fetch_once(called_at)
            self.thread.token = self.token
            return f"{url}{'&' if '?' in url else '?'}{self.token}"

    def _untrusted_host(self, url: str) -> str:
        """Return the host of an address that must not get the token; empty if it may have it."""
        try:
            origin = origins.of(url)
        except ValueError:
            return "no host"
        is_safe = origin.scheme == "https" or origins.is_loopback(origin.host)
        is_azure = origin.host.endswith(STORAGE) and origin.port == origins.PORTS["https"]
        return "" if is_safe and (is_azure or origin in self.token_origins) else client.host(url)

    def renew(self) -> bool:
        if untrusted := getattr(self.thread, "untrusted", ""):
            raise client.Refused(
                f"{untrusted} refused a file of {self.collection}, and the tokens of {self._name()} are not "
                f"sent there: they are for https addresses in *{STORAGE} and the hosts in source.sign_hosts."
            )
        with self.lock:
            # If another thread has renewed the token since, this one just tries again with it.
            if getattr(self.thread, "token", "") == self.token:
                self.refused += 1
                if self.refused >= REFUSALS:
                    raise client.Refused(self._all_refused())
                self.until = LONG_AGO
        return True

    def accept(self) -> None:
        if not getattr(self.thread, "untrusted", ""):
            self.refused = 0

    def _all_refused(self) -> str:
        return (
            f"The files of {self.collection} were refused with {REFUSALS} tokens of {self._name()} in a row: "
            "source.sign may name the wrong token service, or the collection may not be public."
        )

    def _name(self) -> str:
        return client.redacted(self.service)

    def _fetch_once(self, called_at: float) -> None:
        """Fetch a token; if another thread's fetch failed since `called_at`, raise that failure instead."""
        if self.failed_at >= called_at:
            raise WorkError(self.failure)
        try:
            self._fetch()
        except WorkError as error:
            self.failure, self.failed_at = str(error), time.monotonic()
            raise

    def _fetch(self) -> None:
        address = f"{self.service}/{quote(self.collection, safe='')}"
        try:
            self.token, self.until = _read(client.get_json(address, headers=_key(self.service)))
        except (client.Refused, client.Failed) as error:
            raise WorkError(self._without_token(error.status, str(error))) from None
        except (KeyError, TypeError, ValueError):
            raise WorkError(
                f"{client.redacted(address)} answers without token and msft:expiry; correct source.sign, the "
                "address of the token service."
            ) from None

    def _without_token(self, status: int, text: str) -> str:
        """Return why the token service gave no token, in words."""
        if status in (401, 403) and _key(self.service):
            return f"{self._name()} refuses the key in {KEY_VARIABLE} (HTTP {status}): correct or unset it."
        if status in (404, 410):
            return (
                f"{self._name()} has no token for {self.collection} (HTTP {status}); correct source.sign or "
                "source.collections."
            )
        return f"There is no token for {self.collection}: {text}"


def _read(answer: Any) -> tuple[str, datetime]:
    """Return the token of an answer and when it expires; a time without a zone is taken as UTC."""
    until = datetime.fromisoformat(answer["msft:expiry"])
    if not isinstance(answer["token"], str) or not answer["token"]:
        raise ValueError("token")
    return answer["token"].lstrip("?"), until if until.tzinfo else until.replace(tzinfo=UTC)


def has_key(service: str) -> bool:
    """Return whether the user's key is sent to a token service."""
    return bool(_key(service))


def _key(service: str) -> dict[str, str]:
    """Return the header with the user's key; empty if there is none or the service is not in KNOWN."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    known = {urlsplit(address)[:2] for address in KNOWN.values()}
    return {KEY_HEADER: key} if key and urlsplit(service)[:2] in known else {}


_signers: dict[tuple[str, str, tuple[str, ...]], TokenSigner] = {}
_lock = threading.Lock()


def service_of(options: Options) -> str:
    """Return the address of a source's token service; empty if its files need no token."""
    return options.sign or KNOWN.get(urlsplit(options.href).hostname or "", "")


def signer(options: Options, collection: str) -> Signer:
    """Return this process's signer for a collection's assets, which adds nothing where none is needed."""
    service = service_of(options)
    if not service:
        return Unsigned()
    hosts = _hosts(options, service)
    with _lock:
        key = service, collection, hosts
        return _signers.setdefault(key, TokenSigner(service, collection, hosts))


def _hosts(options: Options, service: str) -> tuple[str, ...]:
    """Return the addresses and hosts that get a service's tokens besides Azure's storage; none get those of
    Planetary Computer."""
    if service.rstrip("/") in KNOWN.values():
        return ()
    return (service, *([options.href] if is_remote(options.href) else []), *options.sign_hosts)


def _origin(host: str) -> origins.Origin:
    """Return scheme, host and port of an address, or of a host by https. InputError if it is neither."""
    try:
        return origins.of(host if "://" in host else f"https://{host}")
    except ValueError:
        raise InputError(f"source.sign_hosts: {client.redacted(host)} is no host.") from None
