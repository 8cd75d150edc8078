"""Items as services and files write them: each is read by itself, and one that is no item says what it lacks.

What stands in one item must not end a search of thousands: it becomes that scene's flaw.
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
"""An item's collection and id: ids are unique within a collection."""


@dataclass(frozen=True)
class Odd:
    """An item that cannot be used. `why` goes on from "the item"; `time` is None where none can be read."""

    id: str
    why: str
    time: datetime | None = None
    collection: str = ""
    href: str = ""

    @classmethod
    def of(cls, item: pystac.Item, why: str) -> Odd:
        """Return what a STAC item is where something in it cannot be used."""
        return cls(item.id, why, time_of(item), item.collection_id or "", _text(item.get_self_href()))


Entry = pystac.Item | Odd


def read(feature: Any, href: str | None = None) -> Entry:
    """Return the item in a decoded JSON object, which may be anything; `href` is where it was read."""
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
    """Return an item's collection and id; a digest of all of it stands for an id that is no text."""
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
    """Return when an item is of, in UTC where it names no zone; the start of its span of time where it has no
    datetime of its own."""
    if isinstance(entry, Odd):
        return entry.time
    when = entry.datetime
    return _time(entry.properties) if when is None else _zoned(when)


def outline(geometry: Any) -> BaseGeometry | None:
    """Return an item's geometry; None where it cannot be read, is empty or has no numbers."""
    try:
        found: BaseGeometry = shapely.geometry.shape(geometry)
        return found if all(map(math.isfinite, found.bounds)) and found.bounds else None
    except MemoryError:
        raise
    except Exception:
        return None


def _text(value: Any) -> str:
    """A text that can be written to a file; empty where it is none."""
    try:
        return value if isinstance(value, str) and value.encode() else ""
    except UnicodeEncodeError:
        return ""


def _time(properties: Any) -> datetime | None:
    for key in ("datetime", "start_datetime"):
        try:
            return _zoned(str_to_datetime(properties[key]))
        except Exception:
            # Neither field, or no date in it: dateutil raises more than ValueError.
            continue
    return None


def _zoned(when: datetime) -> datetime:
    # Old items give a date alone, without a zone.
    return when if when.tzinfo else when.replace(tzinfo=UTC)
