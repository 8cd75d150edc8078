"""Read items from the disk: a saved search, or a static catalog such as the synthetic archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pystac

from minebench.errors import MinebenchError, NotMadeYet, WorkError
from pipeline.geo.raster import is_remote
from pipeline.sources.stac import features, saved
from pipeline.sources.stac.features import Entry
from pipeline.web import client


def items(href: str) -> tuple[Entry, ...]:
    """Return all items of a file on the disk, which is a saved search or a static catalog."""
    entries = saved.items(href)
    return _static(href) if entries is None else entries


@lru_cache(maxsize=4)
def _static(href: str) -> tuple[Entry, ...]:
    """Return all items of a static catalog, which is read once per process. NotMadeYet if there is no file,
    WorkError if it is no catalog."""
    if not Path(href).is_file():
        raise NotMadeYet(f"There is no catalog at {href}: run `minebench archive`, or correct source.href.")
    try:
        return tuple(_items_below(pystac.Catalog.from_file(href)))
    except (MinebenchError, MemoryError):
        raise
    except Exception as error:
        raise WorkError(f"{href} cannot be read as a STAC catalog: {str(error)[:200].rstrip('.')}.") from None


def _items_below(catalog: pystac.Catalog) -> Iterator[Entry]:
    """Yield the items of a catalog on the disk and of its child catalogs."""
    for link in catalog.get_item_links():
        path = str(link.get_absolute_href())
        yield features.read(client.get_json(path) if is_remote(path) else read(path), path)
    for child in catalog.get_children():
        yield from _items_below(child)


def read(path: str) -> Any:
    """Return the decoded JSON of a file. WorkError where it cannot be read."""
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WorkError(f"{path} cannot be read: {error}.") from None
