"""Predictions as a part of the catalog: a catalog of their own under data/<b>/predictions, to which the
benchmark's root links once something was predicted. What `predict` adds then changes no stage's output."""

import json
from pathlib import Path

import pystac

from minebench import receipts
from minebench.files import write_json
from minebench.layout import BenchmarkPaths
from pipeline.stac import objects

TITLE = "Predictions"


def write(benchmark: BenchmarkPaths) -> None:
    """Write the catalog of all runs that are there, and link the benchmark's root to it."""
    folder, runs = benchmark.predictions, _runs(benchmark)
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
    _link_root(benchmark)


def links(benchmark: BenchmarkPaths) -> list[pystac.Link]:
    """Return the root's link to them, where there are any."""
    if not _runs(benchmark):
        return []
    path = benchmark.predictions / "catalog.json"
    if not path.is_file():
        write(benchmark)
    return [objects.link("child", objects.relative(path, benchmark.stac), title=TITLE)]


def _runs(benchmark: BenchmarkPaths) -> list[Path]:
    """The collections of runs that something was predicted with."""
    return sorted(benchmark.predictions.glob("*/collection.json"))


def _link_root(benchmark: BenchmarkPaths) -> None:
    """Give the root its link, where it has none yet and is written already: in the place that the stage
    `catalog` gives it, behind what lies below the root."""
    root = benchmark.stac / "catalog.json"
    href = objects.relative(benchmark.predictions / "catalog.json", benchmark.stac)
    content = receipts.read(root)
    listed = content.get("links", [])
    if not listed or any(link["href"] == href for link in listed):
        return
    below = [
        i for i, link in enumerate(listed) if link["rel"] in {"root", "child"} and link["href"][:2] == "./"
    ]
    listed.insert(below[-1] + 1, objects.link("child", href, title=TITLE).to_dict(transform_href=False))
    write_json(content, root)


def links_of_collection(benchmark: BenchmarkPaths, folder: Path) -> list[pystac.Link]:
    """From a run's collection up."""
    root, _ = _to_root(benchmark, folder)
    return [root, objects.link("parent", "../catalog.json", title=TITLE)]


def links_of_item(benchmark: BenchmarkPaths, folder: Path) -> list[pystac.Link]:
    """From an item up; `folder` is where it will lie."""
    root, _ = _to_root(benchmark, folder)
    return [root, *(objects.link(rel, "../collection.json") for rel in ("parent", "collection"))]


def _to_root(benchmark: BenchmarkPaths, folder: Path) -> list[pystac.Link]:
    href = objects.relative(benchmark.stac / "catalog.json", folder)
    return [objects.link(rel, href) for rel in ("root", "parent")]
