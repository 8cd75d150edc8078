"""Items on the disk: of a saved search, or of a static catalog such as the synthetic archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pystac

from pipeline.core import web
from pipeline.core.errors import MinebenchError, NotMadeYet, WorkError
from pipeline.geo.raster import is_remote
from pipeline.sources.stac import features, saved
from pipeline.sources.stac.features import Entry


def items(href: str) -> tuple[Entry, ...]:
    """All items of a file on the disk: a saved search, or a static catalog."""
    found = saved.items(href)
    return _static(href) if found is None else found


@lru_cache(maxsize=4)
def _static(href: str) -> tuple[Entry, ...]:
    """All items of a static catalog, read once in a process; stages are separate processes."""
    if not Path(href).is_file():
        raise NotMadeYet(f"There is no catalog at {href}: run `minebench archive`, or correct source.href.")
    try:
        return tuple(_below(pystac.Catalog.from_file(href)))
    except (MinebenchError, MemoryError):
        raise
    except Exception as error:
        raise WorkError(f"{href} cannot be read as a STAC catalog: {str(error)[:200].rstrip('.')}.") from None


def _below(catalog: pystac.Catalog) -> Iterator[Entry]:
    """The items of a catalog on the disk and of those below it."""
    for link in catalog.get_item_links():
        path = str(link.get_absolute_href())
        yield features.read(web.get_json(path) if is_remote(path) else read(path), path)
    for child in catalog.get_children():
        yield from _below(child)


def read(path: str) -> Any:
    """The JSON in a file."""
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise WorkError(f"{path} cannot be read: {error}.") from None
