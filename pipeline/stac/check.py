"""Command `check`: is what a benchmark published still what it says it is?

The catalog is walked once, one object in memory at a time. Five classes of damage, in order; the cases of
the first class that was found are listed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pystac
from pystac.validation import validate_dict

from minebench import receipts, tables
from minebench.cube import store
from minebench.cube.labels import Count, Labels
from minebench.errors import NotMadeYet, WorkError
from minebench.files import sha256
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from pipeline.stac import times

CLASSES = ("missing", "damaged", "invalid STAC", "items outside their period", "stale or wrong in the index")
LISTED = 200
"""Cases that are listed; all are counted."""
Found = dict[str, set[str]]
Facts = tuple[int, str]


def check(benchmark: BenchmarkPaths) -> int:
    """Verify the published catalog; returns how many files it vouches for. WorkError lists the cases of
    the first class of damage."""
    root = benchmark.stac / "catalog.json"
    if not root.is_file():
        raise NotMadeYet(f"{root} is missing: run `minebench catalog` first.")
    found: Found = {name: set() for name in CLASSES}
    shared: dict[Path, Facts | None] = {}
    files = 0
    with progress("check", _count(benchmark), "objects") as advance:
        for path, content in _walk(root, found):
            try:
                files += _files(path, content, found, shared)
                found["invalid STAC"].update(_invalid(path, content))
                found["items outside their period"].update(_outside(path, content))
            except (AttributeError, KeyError, TypeError, ValueError):
                found["damaged"].add(f"{path}: a field is missing or is not what it should be")
            advance()
    if not any(found.values()):
        found["stale or wrong in the index"].update(_stale(benchmark))
    for name, cases in found.items():
        if cases:
            more = [f"and {len(cases) - LISTED:,} more"] if len(cases) > LISTED else []
            listed = "\n  ".join([*sorted(cases)[:LISTED], *more])
            raise WorkError(f"{benchmark.stac}: {len(cases)} {name}:\n  {listed}")
    return files


def _count(benchmark: BenchmarkPaths) -> int:
    """How many objects there are to look at: items in their periods' folders, and what stands above."""
    stac, predicted = benchmark.stac, benchmark.predictions
    found = (
        stac.glob("*/*/*.json"),
        stac.glob("*/collection.json"),
        predicted.glob("*/*.json"),
        predicted.glob("*/*/*.json"),
        benchmark.activity.glob("*/item.json"),
    )
    above = (stac / "catalog.json", predicted / "catalog.json", benchmark.activity / "collection.json")
    items = sum(path.name != receipts.RECEIPT for paths in found for path in paths)
    return items + sum(path.is_file() for path in above)


def _walk(root: Path, found: Found) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Root, collections and items, each with its path, by following the links; once each, even where
    they lead in a circle."""
    queue, seen = [root], {root.resolve()}
    while queue:
        path = queue.pop()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            children, items = (
                [path.parent / link["href"] for link in content["links"] if link["rel"] == rel]
                for rel in ("child", "item")
            )
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            found["missing"].add(str(path))
            continue
        except (ValueError, KeyError, TypeError):
            found["damaged"].add(f"{path}: not a STAC object")
            continue
        yield path, content
        # Items, of which there are many, lead nowhere.
        queue += items if content.get("type") != "Feature" else []
        queue += (new := [child for child in dict.fromkeys(children) if child.resolve() not in seen])
        seen.update(child.resolve() for child in new)


def _promised(path: Path, content: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every file that an asset or a link of an object stands for, with its size and SHA-256."""
    for link in content["links"]:
        if "file:checksum" in link:
            stated = {"sha256": link["file:checksum"][4:], "size": link["file:size"]}
            yield (path.parent / link["href"]).resolve(), stated
    for asset in content.get("assets", {}).values():
        target = (path.parent / asset["href"]).resolve()
        for name, digest in asset.get("minebench:files", {}).items():
            yield target / name, {"sha256": digest}
        if "zarr" not in asset["type"]:
            yield target, {"sha256": asset["file:checksum"][4:], "size": asset["file:size"]}


def _files(path: Path, content: dict[str, Any], found: Found, shared: dict[Path, Facts | None]) -> int:
    """Look at the files of an object; how many of them are new. Those that every site names, the index
    tables, are read and counted once."""
    new = 0
    for file, stated in dict(_promised(path, content)).items():
        if file in shared:
            facts = shared[file]
        else:
            facts, new = _facts(file), new + 1
            if file.suffix == ".parquet":
                shared[file] = facts
        if facts is None:
            found["missing"].add(str(file))
        elif stated.get("size", facts[0]) != facts[0]:
            found["damaged"].add(f"{file}: {facts[0]} bytes, not {stated['size']}")
        elif stated["sha256"] != facts[1]:
            found["damaged"].add(f"{file}: its checksum differs")
    return new


def _facts(file: Path) -> Facts | None:
    """A file's size and checksum; None where there is none."""
    return (file.stat().st_size, sha256(file)) if file.is_file() else None


def _invalid(path: Path, content: dict[str, Any]) -> Iterator[str]:
    """Against the core schemas that pystac carries; extensions' schemas are on the network."""
    try:
        validate_dict({**content, "stac_extensions": []})
    except (pystac.STACValidationError, pystac.STACTypeError) as error:
        cause = getattr(error.__cause__, "message", None) or str(error).splitlines()[0]
        yield f"{path}: {cause}"


def _outside(path: Path, content: dict[str, Any]) -> Iterator[str]:
    """An item acquired before or after the period that it stands for, on its own site."""
    own = content.get("properties", {})
    if "minebench:period_start" not in own:
        return
    low, high = (times.parsed(own[f"minebench:period_{end}"]) for end in ("start", "end"))
    found = [own["datetime"]] if own["datetime"] else [own["start_datetime"], own["end_datetime"]]
    for stamp in found:
        if not low <= times.parsed(stamp) <= high:
            yield f"{path}: {stamp} is not within {low:%Y-%m-%d} to {high:%Y-%m-%d}"


def _stale(benchmark: BenchmarkPaths) -> Iterator[str]:
    """Tiles that lie outside their cube, and pairs whose counts are not the cube's."""
    tiles = tables.read(benchmark.table("tiles"), "tile")
    with progress("index", tiles.site_id.nunique(), "sites") as advance:
        for site_id, own, pairs in _by_site(benchmark, tiles):
            if own is None:
                yield f"{benchmark.table('pairs')}: the rows of {site_id} do not stand together"
                continue
            yield from _stale_site(benchmark, site_id, own, pairs)
            advance()


def _by_site(
    benchmark: BenchmarkPaths, tiles: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame | None, pd.DataFrame]]:
    """Each site with its tiles and their pairs. The rows of a site stand together in the table of pairs, so
    that few are in memory; more rows of a site that was there come without tiles."""
    owner = dict(zip(tiles.tile_id, tiles.site_id, strict=True))
    groups = {str(site_id): own for site_id, own in tiles.groupby("site_id", sort=False)}
    known, held = set(groups), pd.DataFrame()
    for part in tables.batches(benchmark.table("pairs"), "tile"):
        held = pd.concat([held, part.assign(site_id=part.tile_id.map(owner).fillna(""))])
        last = held.site_id.iloc[-1]
        for site_id, pairs in held[held.site_id != last].groupby("site_id", sort=False):
            if str(site_id) in known:
                yield str(site_id), groups.pop(str(site_id), None), pairs
        held = held[held.site_id == last]
    last = held.site_id.iloc[-1] if len(held) else ""
    if last in known:
        yield last, groups.pop(last, None), held
    for site_id, own in groups.items():
        yield site_id, own, held[:0]


def _stale_site(
    benchmark: BenchmarkPaths, site_id: str, own: pd.DataFrame, pairs: pd.DataFrame
) -> Iterator[str]:
    path = benchmark.cube(site_id)
    if not store.periods_of(path):
        yield f"{benchmark.table('tiles')}: {site_id} has no cube"
        return
    masks = Labels.read(path)
    shape = masks.mine.shape[1:]
    by_tile = {str(tile_id): rows for tile_id, rows in pairs.groupby("tile_id")} if len(pairs) else {}
    for tile in tiles_of(own):
        rows = by_tile.get(tile.tile_id)
        if tile.y0 + tile.height > shape[0] or tile.x0 + tile.width > shape[1]:
            yield f"{benchmark.table('tiles')}: {tile.tile_id} reaches beyond its cube"
        elif rows is not None:
            yield from _stale_pairs(benchmark, tile, rows, masks)


def _stale_pairs(benchmark: BenchmarkPaths, tile: Tile, rows: pd.DataFrame, masks: Labels) -> Iterator[str]:
    counted = masks.counts(tile.window)
    for row in tables.each(rows):
        stated = Count(row.changed, _given(row.expanded), _given(row.reduced), row.unknown)
        if (row.t1, row.t2) not in counted:
            yield f"{benchmark.table('pairs')}: {tile.tile_id} {row.t1} to {row.t2} is not in its cube"
        elif stated != counted[row.t1, row.t2]:
            yield f"{benchmark.table('pairs')}: {tile.tile_id} {row.t1} to {row.t2} differs from its cube"


def _given(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
