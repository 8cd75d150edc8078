"""Which of an asset's addresses is read: its own, or an alternate where its own cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pystac

from pipeline.geo import raster
from pipeline.sources.stac.buckets import SCHEME, Buckets
from pipeline.web import origins

if TYPE_CHECKING:
    from pipeline.sources.stac import Options

LOGINS = {"landsatlook.usgs.gov": "a login of the USGS"}
"""Hosts that answer browsers which have logged in, and say so nowhere in their items."""
OPEN = frozenset({"s3", "signedUrl"})
"""Kinds of authentication that minebench can do (STAC's authentication extension)."""


@dataclass(frozen=True)
class Place:
    """Where an asset is read from; `flaw` says why it cannot be, and `region` is its bucket's, where said."""

    href: str
    region: str = ""
    flaw: str = ""


class Addresses:
    """Which addresses a recipe's source follows."""

    def __init__(self, options: Options) -> None:
        self.options, self.buckets = options, Buckets(options)
        self.is_remote = raster.is_remote(options.href)
        self.may_be_here = not self.is_remote or origins.is_loopback(origins.of(options.href).host)

    def choose(self, item: pystac.Item, asset: pystac.Asset) -> Place:
        """Return the first address of an asset that can be used, its own before alternates."""
        try:
            own, *others = [self._place(item, href, fields) for href, fields in _written(asset)]
        except ValueError:
            return Place(asset.href, flaw="is no address")
        usable = next((place for place in (own, *others) if not place.flaw), None)
        if usable:
            return usable
        more = [f"; its alternate {other.flaw}" for other in others if other.href.startswith(SCHEME)]
        return Place(own.href, own.region, own.flaw + "".join(more[:1]))

    def _place(self, item: pystac.Item, href: str, fields: Mapping[str, Any]) -> Place:
        storage = _storage(item, fields)
        flaw = self._leads_away(href) or self._needs(item, href, fields, storage)
        if self.options.sign and "sig=" in urlsplit(href).query:
            # A signature of the day when the search was saved.
            href = urlsplit(href)._replace(query="").geturl()
        return Place(href, str(storage.get("region") or ""), flaw)

    def leads_in(self, href: str) -> str:
        """Return why a web address is not asked for: a catalog must not name what is for this machine alone.
        Empty where it is asked. ValueError where it is no address."""
        host = origins.of(href).host
        if origins.is_inner(host):
            return f"is link-local ({host}), where machines are told their own secrets"
        if origins.is_loopback(host) and not self.may_be_here:
            return f"is on this machine ({host}), and the catalog is not"
        return ""

    def _leads_away(self, href: str) -> str:
        """Why an address is not followed; empty where it is."""
        if ".." in PurePosixPath(urlsplit(href).path).parts:
            return "has '..' in its path"
        if raster.is_remote(href):
            return self.leads_in(href)
        if href.startswith(SCHEME):
            return ""
        if self.is_remote:
            return f"is not a web address ({href.split('://')[0][:20]})"
        folder = Path(self.options.href).resolve().parent
        inside = "://" not in href and Path(href).resolve().is_relative_to(folder)
        if inside:
            return ""
        return "leads out of the catalog's folder: put the catalog's file into a folder above the images"

    def _needs(
        self, item: pystac.Item, href: str, fields: Mapping[str, Any], storage: Mapping[str, Any]
    ) -> str:
        """What an address asks of its reader that is not there."""
        if href.startswith(SCHEME):
            return self.buckets.flaw(href, storage)
        login = LOGINS.get(urlsplit(href).hostname or "")
        asked = [str(scheme.get("type", ref)) for ref, scheme in _schemes(item, fields, "auth").items()]
        if not login and asked and not OPEN & set(asked):
            login = f"a login ({asked[0]})"
        return f"needs {login}, which minebench cannot do" if login else ""


def _written(asset: pystac.Asset) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """An asset's own address and its alternates, each with the fields that describe it."""
    # As written where it climbs on the web: making it absolute would hide the climbing. Of a path on the disk
    # only where it ends counts, as items of a static catalog name images above themselves.
    item = asset.owner.get_self_href() if asset.owner else None
    is_here = item is not None and "://" not in item and "://" not in asset.href
    climbs = not is_here and ".." in PurePosixPath(urlsplit(asset.href).path).parts
    yield asset.href if climbs else asset.get_absolute_href() or asset.href, asset.extra_fields
    alternates = asset.extra_fields.get("alternate")
    for fields in alternates.values() if isinstance(alternates, dict) else ():
        if isinstance(fields, dict) and "://" in str(fields.get("href")):
            yield str(fields["href"]), fields


def _storage(item: pystac.Item, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Region and who pays, by the storage extension: version 2's schemes, or version 1's fields."""
    found: dict[str, Any] = {}
    for scheme in _schemes(item, fields, "storage").values():
        found = {**scheme, **found}
    for name in ("region", "requester_pays"):
        said = fields.get(f"storage:{name}", item.properties.get(f"storage:{name}"))
        if said is not None:
            found[name] = said
    return found


def _schemes(item: pystac.Item, fields: Mapping[str, Any], prefix: str) -> dict[str, Mapping[str, Any]]:
    """The schemes of an extension that an address refers to, in its order."""
    schemes, refs = item.properties.get(f"{prefix}:schemes"), fields.get(f"{prefix}:refs")
    known = schemes if isinstance(schemes, dict) else {}
    named = [str(ref) for ref in refs] if isinstance(refs, list) else []
    return {ref: known[ref] if isinstance(known.get(ref), dict) else {} for ref in named}
