"""STAC objects as pystac makes them: links, files with their checksums, extensions, written in one place."""

import json
import posixpath
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from minebench.files import sha256, write_json

COG = pystac.MediaType.COG.value
ZARR = "application/vnd+zarr; version=3"
PARQUET = "application/vnd.apache.parquet"
ITEM, OBJECT = "application/geo+json", "application/json"
SHA256 = "1220"
"""How a multihash says that it is a SHA-256 of 32 bytes."""


def extension(name: str) -> str:
    """Address of an extension's schema, such as file/v2.1.0."""
    return f"https://stac-extensions.github.io/{name}/schema.json"


def checked(path: Path) -> dict[str, Any]:
    """The file extension's fields of a file."""
    return {"file:size": path.stat().st_size, "file:checksum": SHA256 + sha256(path)}


def asset(
    path: Path, folder: Path, title: str | None, media_type: str, roles: list[str], **fields: Any
) -> pystac.Asset:
    """A file as an asset of an object in `folder`."""
    extra = {**fields, **checked(path)}
    return pystac.Asset(relative(path, folder), title, None, media_type, roles, extra)


def link(
    rel: str, href: str, media_type: str | None = OBJECT, title: str | None = None, **fields: Any
) -> pystac.Link:
    """A link to an address relative to the object that has it."""
    return pystac.Link(rel, href, media_type, title, extra_fields=fields or None)


def to_root(depth: int, collection: bool = False) -> list[pystac.Link]:
    """Links of an object that lies `depth` folders below the root, next to its parent or in its folder."""
    root = "../" * depth + "catalog.json"
    parent = "../collection.json" if depth > 1 else root
    rels = [("root", root), ("parent", parent), *([("collection", parent)] if collection else [])]
    return [link(rel, href) for rel, href in rels]


def write(thing: pystac.STACObject, links: Iterable[pystac.Link], path: Path, **fields: Any) -> None:
    """Write an object with just these links, whole or not at all."""
    thing.clear_links()
    for own in links:
        thing.add_link(own)
    content = thing.to_dict(include_self_link=False, transform_hrefs=False)
    write_json({**content, **fields}, path)


def place_of(geometry: BaseGeometry | None) -> dict[str, Any]:
    """A geometry (EPSG:4326) and its bbox, both None for what has no place."""
    if geometry is None or geometry.is_empty:
        return {"geometry": None, "bbox": None}
    return {"geometry": json.loads(shapely.to_geojson(geometry)), "bbox": list(geometry.bounds)}


WORLD = [-180.0, -90.0, 180.0, 90.0]


def extent(bbox: list[float] | None, first: datetime, last: datetime) -> pystac.Extent:
    """An extent from one time to another, both included; the world where no place is known."""
    return pystac.Extent(pystac.SpatialExtent([bbox or WORLD]), pystac.TemporalExtent([[first, last]]))


def stamp(time: datetime) -> str:
    """A time as STAC writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def relative(path: Path, folder: Path) -> str:
    """Href of a path as seen from a folder."""
    href = posixpath.relpath(path.resolve().as_posix(), folder.resolve().as_posix())
    return href if href.startswith(".") else f"./{href}"


def joined(folder: str, href: str) -> str:
    """An href relative to `folder` made relative to the folder's root."""
    return posixpath.normpath(posixpath.join(folder, href))
