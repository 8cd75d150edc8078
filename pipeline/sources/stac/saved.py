"""A saved search: one file with the items that a STAC API once answered, as pystac-client saves it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pystac

from pipeline.core.errors import WorkError


@lru_cache(maxsize=4)
def items(href: str) -> tuple[pystac.Item, ...] | None:
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
    return tuple(_item(feature, href) for feature in content.get("features") or ())


def name_of(item: pystac.Item, href: str) -> str:
    """Return how an item of a saved search is found again: the file's name, the collection and the id."""
    return f"{Path(href).name}#{_name(item)}"


def find(name: str, href: str) -> pystac.Item:
    """Return the item that `name_of` named. WorkError where it is gone."""
    wanted = name.partition("#")[2]
    for item in items(href) or ():
        if _name(item) == wanted:
            return item
    raise WorkError(f"{href} has no item {wanted} any more.")


def _name(item: pystac.Item) -> str:
    return f"{item.collection_id or ''}/{item.id}"


def _item(feature: object, href: str) -> pystac.Item:
    try:
        item = pystac.Item.from_dict(feature)  # type: ignore[arg-type]
    except Exception as error:
        name = feature.get("id") if isinstance(feature, dict) else None
        raise WorkError(f"{href}: item {name} is not a STAC item ({type(error).__name__}).") from None
    if item.get_self_href() is None:
        item.set_self_href(str(Path(href).resolve()))
    return item
