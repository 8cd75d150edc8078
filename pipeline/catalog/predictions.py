"""Predictions as a part of the catalog: a catalog of their own under data/<b>/predictions, to which the
benchmark's root links. So `predict` adds items without a change to what other stages depend on."""

import json
from pathlib import Path

import pystac

from pipeline.core.layout import Benchmark
from pipeline.geo import objects

TITLE = "Predictions"


def write(benchmark: Benchmark) -> None:
    """The catalog of all runs that are there, none at first."""
    folder = benchmark.predictions
    runs = sorted(path for path in folder.glob("*/collection.json"))
    catalog = pystac.Catalog(
        id=f"{benchmark.name}-predictions",
        title=TITLE,
        description=f"Models applied to whole sites of {benchmark.name} by `minebench predict`.",
    )
    children = [
        objects.link(
            "child", f"./{path.parent.name}/collection.json", title=json.loads(path.read_text())["title"]
        )
        for path in runs
    ]
    objects.write(catalog, [*_to_root(benchmark, folder), *children], folder / "catalog.json")


def link(benchmark: Benchmark) -> pystac.Link:
    """The root's link to them; the catalog is made where there is none."""
    path = benchmark.predictions / "catalog.json"
    if not path.is_file():
        write(benchmark)
    return objects.link("child", objects.relative(path, benchmark.stac), title=TITLE)


def links_of_collection(benchmark: Benchmark, folder: Path) -> list[pystac.Link]:
    """From a run's collection up."""
    root, _ = _to_root(benchmark, folder)
    return [root, objects.link("parent", "../catalog.json", title=TITLE)]


def links_of_item(benchmark: Benchmark, folder: Path) -> list[pystac.Link]:
    """From an item up; `folder` is where it will lie."""
    root, _ = _to_root(benchmark, folder)
    return [root, *(objects.link(rel, "../collection.json") for rel in ("parent", "collection"))]


def _to_root(benchmark: Benchmark, folder: Path) -> list[pystac.Link]:
    href = objects.relative(benchmark.stac / "catalog.json", folder)
    return [objects.link(rel, href) for rel in ("root", "parent")]
