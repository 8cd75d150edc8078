"""Stage `tile`: windows, their periods, their pairs and their split, as tables over the cubes.

index/tiles.parquet          one row a window, with its outline (GeoParquet, EPSG:4326)
index/tile_periods.parquet   one row a window and period
index/pairs.parquet          one row a window and pair of periods
index/folds.parquet          other splits by site: k-fold, and one country left out
index/statistics/            what the benchmark holds; see `pipeline.index.statistics`
index/analysis/              sets to take a model's test scores apart; see `pipeline.index.analysis_sets`
"""

import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from minebench import index, periods, receipts, tables
from minebench.cube import store
from minebench.cube.labels import Count, Labels
from minebench.errors import InputError
from minebench.files import sha256
from minebench.index import FIELDS, NODATA, PADDING, Tile
from minebench.layout import BenchmarkPaths
from minebench.periods import months_between
from pipeline.core.runner import Spread, each_site
from pipeline.geo import geodesy, grid
from pipeline.index import analysis_sets, split, statistics
from pipeline.index.split import Splits
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site

log = logging.getLogger(__name__)
TILE = {name: "str" if name in {"tile_id", "site_id", "split"} else "int64" for name in FIELDS}
TILE_PERIOD = {
    "tile_id": "str",
    "period": "str",
    "mine_fraction": "float64",
    "unknown_fraction": "float64",
    "clear_fraction": "float64",
}
PAIR = {
    "tile_id": "str", "t1": "str", "t2": "str", "interval": "int64", "changed": "int64",
    "expanded": "Int64", "reduced": "Int64", "unknown": "int64", "split": "str",
}  # fmt: skip
"""Columns of the three tables."""
Row = tuple[Any, ...]
DERIVED = "derived"
"""In the table of tiles: the versions of the tables that are made of it and not learnt from."""
VERSION = 1
"""Of the tables of tiles and pairs: raise it when the same cubes give others."""


@dataclass(frozen=True)
class Task:
    """One site's work; `drawn` has the split of each of its tiles where single tiles are drawn;
    else all are of `split`."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    split: str
    drawn: Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """What a run of the stage did; `splits` says what became of the release's, and `without` are sites that
    are too small for a tile."""

    tiles: int
    splits: Splits
    without: tuple[str, ...] = ()


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> Done:
    """Write the tables, unless they are of the same cubes and rules. InputError where nothing fits."""
    table = sites.read(benchmark)
    listed = sites.listed(table, recipe)
    store.require_all(benchmark, table.site_id)
    splits = split.of_sites(benchmark, table, recipe.split)
    key = _key(benchmark, recipe, listed, splits)
    path = benchmark.table("tiles")
    derived = [statistics.VERSION, analysis_sets.VERSION]
    are_there = all(other.is_file() for other in _others(benchmark))
    if receipts.key_in(path) == key and are_there and receipts.read(path).get(DERIVED) == derived:
        written = tables.read(path, "tile")
        if "geometry" not in written:  # by an earlier version; nothing else of the table changes
            _write(written, listed, dict(receipts.read(path).items()), path)
        return Done(len(written), splits, _too_small(benchmark, recipe, listed))
    drawn = _drawn(benchmark, recipe, listed)
    tasks = [
        Task(benchmark, recipe, site, splits.of[site.site_id], drawn.get(site.site_id, {})) for site in listed
    ]
    beyond = "none" if grid.ungeoreferenced(table) else recipe.tiling.beyond
    told: dict[Hashable | None, Any] = {
        "beyond": beyond, "neighbours": recipe.tiling.neighbours, receipts.KEY: key, DERIVED: derived
    }  # fmt: skip
    rows: list[Row] = []
    with (
        tables.writing(benchmark.table("tile_periods"), TILE_PERIOD, {}) as tile_periods,
        tables.writing(benchmark.table("pairs"), PAIR, {}) as pairs,
    ):
        for own, of_periods, of_pairs in each_site("tile", tasks, _tile_site, spread):
            rows += own
            tile_periods.add(of_periods)
            pairs.add(of_pairs)
        _check(benchmark, recipe, len(rows), pairs.count)
    tiles = pd.DataFrame(rows, columns=list(TILE)).astype(TILE)
    tables.write(split.folds(table, recipe.split), benchmark.table("folds"))
    statistics.build(benchmark, recipe, listed, tiles, spread)
    analysis_sets.build(benchmark, listed, tiles, spread)
    if recipe.tiling.edge == "pad":
        told[PADDING] = NODATA
    _write(tiles, listed, told, path)
    return Done(len(tiles), splits, _too_small(benchmark, recipe, listed))


def _too_small(benchmark: BenchmarkPaths, recipe: Recipe, listed: list[Site]) -> tuple[str, ...]:
    """Sites with images that no tile fits."""
    return tuple(
        f"{site.site_id} ({site.shape[0]} x {site.shape[1]} pixels)"
        for site in listed
        if not recipe.tiling.corners(site.shape) and store.periods_of(benchmark.cube(site.site_id))
    )


def _write(tiles: pd.DataFrame, listed: list[Site], told: Mapping[Hashable | None, Any], path: Path) -> None:
    """Write the table of tiles with their outlines, so that GIS show it."""
    placed = gpd.GeoDataFrame(tiles, geometry=outlines(tiles, listed), crs=4326)
    placed.attrs = dict(told)
    tables.write(placed, path)


def outlines(tiles: pd.DataFrame, listed: list[Site]) -> NDArray[Any]:
    """The tiles' outlines within their sites (EPSG:4326), None where a site has no place."""
    grids = {site.site_id: site.grid.transform for site in listed}
    codes = {site.site_id: site.epsg for site in listed}
    rows = [(codes[own], *(getattr(grids[own], part) for part in "acef")) for own in tiles.site_id]
    columns = ["epsg", "across", "left", "down", "top"]
    epsg, across, left, down, top = pd.DataFrame(rows, columns=columns).to_numpy().T
    x0, y0 = left + across * tiles.x0.to_numpy(), top + down * tiles.y0.to_numpy()
    x1, y1 = x0 + across * tiles.width.to_numpy(), y0 + down * tiles.height.to_numpy()
    shapes = np.full(len(tiles), None, dtype=object)
    placed = epsg > 0
    boxes = np.asarray(shapely.box(x0, y1, x1, y0))
    shapes[placed] = geodesy.to_lonlat_each(boxes[placed], epsg[placed])
    return shapes


def _drawn(benchmark: BenchmarkPaths, recipe: Recipe, listed: list[Site]) -> dict[str, dict[str, str]]:
    """By site the split of every tile where single tiles are drawn; else empty."""
    if recipe.split.by != "tile":
        return {}
    names = {
        site.site_id: [tile_name(site, *corner) for corner in recipe.tiling.corners(site.shape)]
        for site in listed
        if store.periods_of(benchmark.cube(site.site_id))
    }
    drawn = split.of_tiles([name for own in names.values() for name in own], recipe.split)
    return {site_id: {name: drawn[name] for name in own} for site_id, own in names.items()}


def _others(benchmark: BenchmarkPaths) -> Iterator[Path]:
    """The stage's tables but that of tiles, which is written last."""
    yield from (benchmark.table(name) for name in ("tile_periods", "pairs", "folds"))
    yield from (statistics.table_path(benchmark, name) for name in statistics.TABLES)
    yield from (analysis_sets.path(benchmark, name) for name in analysis_sets.COLUMNS)


def _key(benchmark: BenchmarkPaths, recipe: Recipe, listed: list[Site], splits: Splits) -> str:
    """What the tables are made of: every cube's images (by their key) and masks (by their content, which
    people also edit by hand), the sites, and the rules."""
    cubes = [
        [site.site_id, site.layout(), site.country, site.production, splits.of[site.site_id],
         *([site.elsewhere.wkt] if site.elsewhere else []), *_held(benchmark.cube(site.site_id))]
        for site in listed
    ]  # fmt: skip
    rules = recipe.model_dump(include={"tiling", "pairs", "split", "sensor"}, mode="json")
    del rules["split"]["hidden"]  # of what is published, not of what is made
    # Statistics and analysis sets are not learnt from: their versions (1 when they were in the key) only say
    # that the stage is to run again.
    versions = [VERSION, split.VERSION, 1, 1]
    return receipts.fingerprint([versions, cubes, rules, recipe.selection.min_months_apart])


def _held(path: Path) -> list[Any]:
    """The key of a cube's images, and checksums of its masks' files."""
    masks = sorted(file for name in ("clear", "mine", "change") for file in path.glob(f"{name}/**/*"))
    sums = [(file.relative_to(path).as_posix(), sha256(file)) for file in masks if file.is_file()]
    return [receipts.key_in(store.receipt(path)), *sums]


def _check(benchmark: BenchmarkPaths, recipe: Recipe, tiles: int, pairs: int) -> None:
    if not tiles:
        raise InputError(
            f"{benchmark.recipe}: tiling.size {recipe.tiling.size} fits no site; lower it or set tiling.pad."
        )
    if not pairs:
        raise InputError(f"{benchmark.recipe}: no site has two periods that make one of the pairs.")


def _tile_site(task: Task) -> tuple[list[Row], list[Row], list[Row]]:
    """A site's rows of the three tables. Pixels that padding repeats are not counted twice."""
    recipe, site = task.recipe, task.site
    path = task.benchmark.cube(site.site_id)
    names = store.periods_of(path)
    if not names:
        return [], [], []
    labels = Labels.read(path)
    wanted = far_enough(index.wanted(names, recipe.pairs), store.attributes_of(path), names, recipe)
    pairs = [(names[i], names[j]) for i, j in wanted]
    intervals = {pair: periods.interval(*pair) for pair in pairs}
    tiles, tile_periods, pair_rows = [], [], []
    for y0, x0 in recipe.tiling.corners(site.shape):
        part = task.drawn.get(tile_name(site, y0, x0), task.split)
        tile = tile_at(site, y0, x0, recipe.tiling.size, part, recipe.tiling.edge == "pad")
        tiles.append(tuple(vars(tile).values()))
        tile_periods += _period_rows(tile, labels)
        pair_rows += _pair_rows(tile, labels.counts(tile.window), intervals)
    return tiles, tile_periods, pair_rows


def tile_name(site: Site, y0: int, x0: int) -> str:
    """The id of the tile whose upper left corner is there."""
    return f"{site.site_id}_{y0:05d}_{x0:05d}"


def tile_at(site: Site, y0: int, x0: int, size: int, part: str, beyond: bool = False) -> Tile:
    """The tile whose upper left corner is there, as far as it lies in the site; it may go on `beyond` it."""
    starts = (y0, x0) if beyond else (0, 0)
    height, width = (min(size, side - start) for side, start in zip(site.shape, starts, strict=True))
    name = tile_name(site, y0, x0)
    return Tile(name, site.site_id, part, y0, x0, height, width, size - height, size - width)


def far_enough(
    wanted: list[tuple[int, int]], attributes: dict[str, Any], labels: list[str], recipe: Recipe
) -> list[tuple[int, int]]:
    """Pairs whose images were acquired `selection.min_months_apart` or more apart: from the last day of
    the earlier to the first of the later. Days that nobody knows are taken as far enough."""
    least = recipe.selection.min_months_apart
    if not least:
        return wanted
    days = [[date.fromisoformat(day) for day in attributes["acquired"][label]] for label in labels]
    kept = []
    for i, j in wanted:
        enough = not (days[i] and days[j]) or months_between(max(days[i]), min(days[j])) >= least
        if not enough:
            log.info(
                "%s: %s to %s are less than selection.min_months_apart apart",
                attributes["site_id"],
                labels[i],
                labels[j],
            )
        kept += [(i, j)] if enough else []
    return kept


def _period_rows(tile: Tile, labels: Labels) -> list[Row]:
    """Fractions of the tile's pixels; `mine_fraction` is of the known ones, NaN without any."""
    rows = []
    for i, (period, known) in enumerate(zip(labels.periods, labels.known(tile.window), strict=True)):
        mine, clear = labels.mine[i][tile.window], labels.clear[i][tile.window]
        share = float((mine[known] == 1).mean()) if known.any() else float("nan")
        rows.append((tile.tile_id, period, share, float(1 - known.mean()), float((clear > 0).mean())))
    return rows


def _pair_rows(
    tile: Tile, counts: dict[tuple[str, str], Count], intervals: dict[tuple[str, str], int]
) -> list[Row]:
    """Rows of the wanted pairs; of those without a label, where change itself was drawn, none."""
    return [
        (tile.tile_id, *pair, interval, *counts[pair], tile.split)
        for pair, interval in intervals.items()
        if pair in counts
    ]
