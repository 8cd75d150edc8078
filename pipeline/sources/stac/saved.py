"""A saved search: one file with the items that a STAC API once answered, as pystac-client saves it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pystac

from minebench.errors import WorkError
from pipeline.sources.stac import features
from pipeline.sources.stac.features import Entry


@lru_cache(maxsize=4)
def items(href: str) -> tuple[Entry, ...] | None:
    """Return the items of a FeatureCollection on the disk, read once in a process; None where the file is
    something else, such as a catalog, or is not there.

    An item without an address of its own is taken to lie beside the file.
    """
    try:
        content = json.loads(Path(href).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        return None
    listed = content.get("features")
    return tuple(_item(feature, href) for feature in listed) if isinstance(listed, list) else ()


def name_of(item: pystac.Item, href: str) -> str:
    """Return how an item of a saved search is found again: the file's name, the collection and the id."""
    return f"{Path(href).name}#{_name(item)}"


def find(name: str, href: str) -> pystac.Item:
    """Return the item that `name_of` named. WorkError where it is gone."""
    wanted = name.partition("#")[2]
    for item in items(href) or ():
        if isinstance(item, pystac.Item) and _name(item) == wanted:
            return item
    raise WorkError(f"{href} has no item {wanted} any more.")


def _name(item: pystac.Item) -> str:
    return f"{item.collection_id or ''}/{item.id}"


def _item(feature: object, href: str) -> Entry:
    item = features.read(feature)
    if isinstance(item, pystac.Item) and item.get_self_href() is None:
        item.set_self_href(str(Path(href).resolve()))
    return item
