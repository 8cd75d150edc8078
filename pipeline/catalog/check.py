"""Command `check`: is what a benchmark published still what it says it is?

Six classes of damage, in order; the first one found ends the check and lists all its cases.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pystac
from pystac.validation import validate_dict

from pipeline.catalog import times
from pipeline.core import tables
from pipeline.core.errors import Damaged, NotMadeYet, WorkError
from pipeline.core.files import sha256
from pipeline.core.layout import Benchmark
from pipeline.core.progress import progress
from pipeline.core.tiles import Tile, tiles_of
from pipeline.cubes import cube
from pipeline.cubes.labels import Count, Labels

Node = tuple[Path, dict[str, Any]]


def check(benchmark: Benchmark) -> int:
    """Verify the published catalog; returns how many files it vouches for. WorkError lists every
    case of the first class of damage."""
    nodes = _load(benchmark)
    classes: list[tuple[str, Callable[[], Iterator[str]]]] = [
        ("missing", lambda: _missing(nodes)),
        ("damaged", lambda: _damaged(nodes)),
        ("invalid STAC", lambda: _invalid(nodes)),
        ("items outside their period", lambda: _outside(nodes)),
        ("stale or wrong in the index", lambda: _stale(benchmark)),
    ]
    for name, find in classes:
        if found := sorted(set(find())):
            raise WorkError(f"{benchmark.stac}: {len(found)} {name}:\n  " + "\n  ".join(found))
    return len(_promised(nodes))


def _load(benchmark: Benchmark) -> list[Node]:
    """Root, collections and items, each with its path, by following the links."""
    root = benchmark.stac / "catalog.json"
    if not root.is_file():
        raise NotMadeYet(f"{root} is missing: run `minebench catalog` first.")
    nodes, queue = [], [root]
    for path in queue:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            links = [link["href"] for link in content["links"] if link["rel"] in {"child", "item"}]
        except FileNotFoundError:
            raise WorkError(f"{benchmark.stac}: 1 missing:\n  {path}") from None
        except (ValueError, KeyError, TypeError):
            raise Damaged(f"{benchmark.stac}: 1 damaged:\n  {path}: not a STAC object") from None
        nodes.append((path, content))
        queue += [path.parent / href for href in links]
    return nodes


def _promised(nodes: list[Node]) -> dict[Path, dict[str, Any]]:
    """Every file that an asset or a link stands for, with its size and SHA-256."""
    promised: dict[Path, dict[str, Any]] = {}
    for path, content in nodes:
        for link in content["links"]:
            if "file:checksum" in link:
                stated = {"sha256": link["file:checksum"][4:], "size": link["file:size"]}
                promised[(path.parent / link["href"]).resolve()] = stated
        for asset in content.get("assets", {}).values():
            target = (path.parent / asset["href"]).resolve()
            for name, digest in asset.get("minebench:files", {}).items():
                promised[target / name] = {"sha256": digest}
            if "zarr" not in asset["type"]:
                promised[target] = {
                    "sha256": asset["file:checksum"][4:],
                    "size": asset["file:size"],
                }
    return promised


def _missing(nodes: list[Node]) -> Iterator[str]:
    return (str(path) for path in _promised(nodes) if not path.is_file())


def _damaged(nodes: list[Node]) -> Iterator[str]:
    promised = _promised(nodes)
    with progress("check", len(promised), "files") as advance:
        for path, stated in promised.items():
            yield from _differs(path, stated)
            advance()


def _differs(path: Path, stated: dict[str, Any]) -> Iterator[str]:
    """What a file's size or checksum says against what was promised."""
    size = path.stat().st_size
    if stated.get("size", size) != size:
        yield f"{path}: {size} bytes, not {stated['size']}"
    elif sha256(path) != stated["sha256"]:
        yield f"{path}: its checksum differs"


def _invalid(nodes: list[Node]) -> Iterator[str]:
    """Against the core schemas that pystac carries; extensions' schemas are on the network."""
    for path, content in nodes:
        try:
            validate_dict({**content, "stac_extensions": []})
        except pystac.STACValidationError as error:
            cause = getattr(error.__cause__, "message", None) or str(error).splitlines()[0]
            yield f"{path}: {cause}"


def _outside(nodes: list[Node]) -> Iterator[str]:
    """Items acquired before or after the period that they stand for, on their own site."""
    for path, content in nodes:
        own = content.get("properties", {})
        if "minebench:period_start" not in own:
            continue
        low, high = (times.parsed(own[f"minebench:period_{end}"]) for end in ("start", "end"))
        found = [own["datetime"]] if own["datetime"] else [own["start_datetime"], own["end_datetime"]]
        for stamp in found:
            if not low <= times.parsed(stamp) <= high:
                yield f"{path}: {stamp} is not within {low:%Y-%m-%d} to {high:%Y-%m-%d}"


def _stale(benchmark: Benchmark) -> Iterator[str]:
    """Tiles that lie outside their cube, and pairs whose counts are not the cube's."""
    tiles = tables.read(benchmark.table("tiles"), "tile")
    pairs = dict(tuple(tables.read(benchmark.table("pairs"), "tile").groupby("tile_id")))
    for site_id, own in tiles.groupby("site_id"):
        path = benchmark.cube(str(site_id))
        if not cube.periods_of(path):
            yield f"{benchmark.table('tiles')}: {site_id} has no cube"
            continue
        masks = Labels.read(path)
        shape = masks.mine.shape[1:]
        for tile in tiles_of(own):
            rows = pairs.get(tile.tile_id)
            if tile.y0 + tile.height > shape[0] or tile.x0 + tile.width > shape[1]:
                yield f"{benchmark.table('tiles')}: {tile.tile_id} reaches beyond its cube"
            elif rows is not None:
                yield from _stale_pairs(benchmark, tile, rows, masks)


def _stale_pairs(benchmark: Benchmark, tile: Tile, rows: pd.DataFrame, masks: Labels) -> Iterator[str]:
    counted = masks.counts(tile.window)
    for row in rows.itertuples():
        stated = Count(row.changed, _given(row.expanded), _given(row.reduced), row.unknown)
        if (row.t1, row.t2) not in counted:
            yield f"{benchmark.table('pairs')}: {tile.tile_id} {row.t1} to {row.t2} is not in its cube"
        elif stated != counted[row.t1, row.t2]:
            yield f"{benchmark.table('pairs')}: {tile.tile_id} {row.t1} to {row.t2} differs from its cube"


def _given(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
