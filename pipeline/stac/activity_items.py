"""Activity as a part of the catalog: a collection of its own under data/<b>/activity, an item a site."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pystac

from minebench import __version__
from minebench.layout import BenchmarkPaths
from pipeline.recipe import Recipe
from pipeline.sites.site import Site
from pipeline.stac import objects, times
from pipeline.stac.paging import shelved

ITEM = "item.json"


def write_item(
    benchmark: BenchmarkPaths,
    site: Site,
    folder: Path,
    sources: Iterable[str],
    titles: Mapping[str, str],
    first: datetime,
    last: datetime,
) -> None:
    """A site's item: an asset for every file of every source; `titles` by file name."""
    place = benchmark.activity / site.site_id
    item = pystac.Item(
        id=f"{site.site_id}-activity",
        **objects.place_of(site.geometry),
        datetime=None,
        start_datetime=first,
        end_datetime=last,
        stac_extensions=[objects.extension(name) for name in ("file/v2.1.0", "projection/v2.0.0")],
        collection=f"{benchmark.name}-activity",
        properties={
            "title": f"Activity of {site.label}",
            "proj:code": f"EPSG:{site.epsg}" if site.epsg else None,
            "proj:shape": list(site.shape),
            "proj:transform": list(site.grid.transform)[:6],
            "minebench:version": __version__,
        },
        assets={
            f"{source}-{name}": objects.asset(
                folder / source / name, folder, f"{source}: {title}", _kind(name),
                ["data"] if name.endswith(".tif") else ["overview"],
            )
            for source in sources
            for name, title in titles.items()
        },
    )  # fmt: skip
    links = [
        objects.link("root", objects.relative(benchmark.stac / "catalog.json", place)),
        *(objects.link(rel, "../collection.json") for rel in ("parent", "collection")),
    ]
    objects.write(item, links, folder / ITEM)


def _kind(name: str) -> str:
    return objects.COG if name.endswith(".tif") else "image/png"


def write_collection(benchmark: BenchmarkPaths, recipe: Recipe, licence: str) -> None:
    """The collection of all sites that have an item."""
    folder = benchmark.activity
    paths = sorted(folder.glob(f"*/{ITEM}"))
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    boxes = [content["bbox"] for content in contents if content.get("bbox")]
    bbox = [float(v) for v in (*np.min(boxes, axis=0)[:2], *np.max(boxes, axis=0)[2:])] if boxes else None
    spans = [
        (times.parsed(own["properties"]["start_datetime"]), times.parsed(own["properties"]["end_datetime"]))
        for own in contents
    ]
    collection = pystac.Collection(
        id=f"{benchmark.name}-activity",
        title="Activity",
        description=f"Where, when and how much the sites of {recipe.title} changed: NDTCI (OMS2CD, Dibble "
        f"2023) and first and last change, by source. Made by minebench {__version__}."
        + (" The images are synthetic." if recipe.source.is_synthetic else ""),
        license=licence,
        extent=objects.extent(bbox, *times.around(spans)),
    )
    root = objects.relative(benchmark.stac / "catalog.json", folder)
    children = (
        objects.link("item", f"./{path.parent.name}/{ITEM}", objects.ITEM, own["properties"]["title"])
        for path, own in zip(paths, contents, strict=True)
    )
    path = folder / "collection.json"
    links = [
        *(objects.link(rel, root) for rel in ("root", "parent")),
        *shelved(path, collection.id, benchmark.stac / "catalog.json", children),
    ]
    objects.write(collection, links, path)


def paths(benchmark: BenchmarkPaths) -> list[Path]:
    """The items of sites, where the collection is there."""
    return sorted(benchmark.activity.glob(f"*/{ITEM}")) if links(benchmark) else []


def links(benchmark: BenchmarkPaths) -> list[pystac.Link]:
    """The catalog root's link to the collection, where there is one."""
    path = benchmark.activity / "collection.json"
    if not path.is_file():
        return []
    return [objects.link("child", objects.relative(path, benchmark.stac), title="Activity")]
