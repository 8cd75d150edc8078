"""Read STAC items one by one; one that is not valid becomes an `Odd` with the reason.

A mistake in one item must not end a search of thousands of them: it becomes that scene's flaw.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pystac
import shapely
from pystac.utils import str_to_datetime
from shapely.geometry.base import BaseGeometry

Name = tuple[str, str]
"""An item's collection and id; ids are unique only within a collection."""


@dataclass(frozen=True)
class Odd:
    """An item that cannot be used.

    `why` completes a sentence that begins with "the item"; `time` is None if it cannot be read.
    """

    id: str
    why: str
    time: datetime | None = None
    collection: str = ""
    href: str = ""

    @classmethod
    def of(cls, item: pystac.Item, why: str) -> Odd:
        """Return a valid STAC item as one that cannot be used."""
        return cls(item.id, why, time_of(item), item.collection_id or "", _text(item.get_self_href()))


Entry = pystac.Item | Odd


def read(feature: Any, href: str | None = None) -> Entry:
    """Return the item in decoded JSON, which may be anything; `href` is where it was read from."""
    collection, identity = name_of(feature)
    fields = feature if isinstance(feature, dict) else {}
    if fields.get("id") != identity:
        why = "has an id that is no text"
    elif (fields.get("collection") or "") != collection:
        why = "has a collection that is no text"
    else:
        try:
            return pystac.Item.from_dict(fields, href=href)
        except MemoryError:
            raise
        except Exception as error:
            why = f"is not a STAC item ({type(error).__name__})"
    return Odd(identity, why, _time(fields.get("properties")), collection, href or "")


def name_of(feature: Any) -> Name:
    """Return an item's collection and id; a digest of the item replaces an id that is missing or no text."""
    fields = feature if isinstance(feature, dict) else {}
    identity = _text(fields.get("id"))
    if not identity:
        try:
            text = json.dumps(feature, sort_keys=True)
        except RecursionError:
            text = "deep"
        identity = f"no-id-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return _text(fields.get("collection")), identity


def time_of(entry: Entry) -> datetime | None:
    """Return an item's datetime, or its start_datetime if it has none; None if neither can be read. A time
    without a zone is taken as UTC."""
    if isinstance(entry, Odd):
        return entry.time
    when = entry.datetime
    return _time(entry.properties) if when is None else _zoned(when)


def outline(geometry: Any) -> BaseGeometry | None:
    """Return an item's geometry; None if it cannot be read, is empty or has bounds that are not finite."""
    try:
        shape: BaseGeometry = shapely.geometry.shape(geometry)
        return shape if all(map(math.isfinite, shape.bounds)) and shape.bounds else None
    except MemoryError:
        raise
    except Exception:
        return None


def _text(value: Any) -> str:
    """Return a value if it is text that UTF-8 can encode; else empty text."""
    try:
        return value if isinstance(value, str) and value.encode() else ""
    except UnicodeEncodeError:
        return ""


def _time(properties: Any) -> datetime | None:
    """Return the time in an item's properties, which may be anything; None if there is none."""
    for key in ("datetime", "start_datetime"):
        try:
            return _zoned(str_to_datetime(properties[key]))
        except Exception:
            # The field is missing or is no date, for which dateutil raises more than ValueError.
            continue
    return None


def _zoned(when: datetime) -> datetime:
    # Some old items have a date without a zone.
    return when if when.tzinfo else when.replace(tzinfo=UTC)
