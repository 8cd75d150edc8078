"""Stage `tile`: windows, their periods, their pairs and their split, as tables over the cubes.

index/tiles.parquet          one row a window
index/tile_periods.parquet   one row a window and period
index/pairs.parquet          one row a window and pair of periods
index/folds.parquet          other splits by site: k-fold, and one country left out
index/statistics/            what the benchmark holds; see `pipeline.index.statistics`
index/analysis/              sets to take a model's test scores apart; see `pipeline.index.analysis_sets`
"""

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import periods, tables
from pipeline.core.errors import InputError
from pipeline.core.layout import Benchmark
from pipeline.core.runner import each_site
from pipeline.cubes import cube
from pipeline.cubes.labels import Count, Masks
from pipeline.geo import grid
from pipeline.index import analysis_sets, pairs, split, statistics
from pipeline.recipe import Recipe, Tiling

log = logging.getLogger(__name__)
TILE = ["tile_id", "site_id", "split", "y0", "x0", "height", "width", "pad_y", "pad_x"]
TILE_PERIOD = ["tile_id", "period", "mine_fraction", "unknown_fraction", "clear_fraction"]
PAIR = ["tile_id", "t1", "t2", "interval", "changed", "expanded", "reduced", "unknown", "split"]


@dataclass(frozen=True)
class Task:
    """One site's work."""

    benchmark: Benchmark
    recipe: Recipe
    site: Any
    split: str


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Write the tables; returns the number of tiles. InputError where nothing fits."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    splits = split.of_sites(benchmark, sites, recipe.split)
    tasks = [Task(benchmark, recipe, row, splits[row.site_id]) for row in sites.itertuples()]
    found = each_site("tile", tasks, _tile_site, workers, scheduler)
    tiles, tile_periods, pair_rows = (
        pd.DataFrame([row for part in found for row in part[table]]) for table in range(3)
    )
    if tiles.empty:
        raise InputError(
            f"{benchmark.recipe}: tiling.size {recipe.tiling.size} fits no site; lower it or set tiling.pad."
        )
    if pair_rows.empty:
        raise InputError(f"{benchmark.recipe}: no site has two periods that make one of the pairs.")
    if recipe.split.by == "tile":
        drawn = split.of_tiles(list(tiles.tile_id), recipe.split)
        tiles["split"], pair_rows["split"] = tiles.tile_id.map(drawn), pair_rows.tile_id.map(drawn)
    tiles, pair_rows = tiles[TILE], pair_rows[PAIR].astype({"expanded": "Int64", "reduced": "Int64"})
    beyond = "none" if grid.placeless(sites) else recipe.tiling.beyond
    tiles.attrs = {"beyond": beyond, "neighbours": recipe.tiling.neighbours}
    for name, table in (("tiles", tiles), ("tile_periods", tile_periods[TILE_PERIOD]), ("pairs", pair_rows)):
        tables.write(table, benchmark.table(name))
    tables.write(split.folds(sites, recipe.split), benchmark.table("folds"))
    statistics.build(benchmark, recipe, sites, tiles, pair_rows)
    analysis_sets.build(benchmark, recipe, sites, tiles, pair_rows, workers, scheduler)
    return len(tiles)


def starts(length: int, tiling: Tiling) -> list[int]:
    """Where windows start along a side of `length` pixels.

    With edge `shift` the last window is moved back to end at the edge; with `drop` it is left
    out. A side shorter than a window gives one window to be padded, or none.
    """
    if length < tiling.size:
        return [0] if tiling.pad else []
    step = tiling.stride or tiling.size
    found = list(range(0, length - tiling.size + 1, step))
    if tiling.edge == "shift" and found[-1] + tiling.size < length:
        found.append(length - tiling.size)
    return found


def _tile_site(task: Task) -> tuple[list[dict[str, Any]], ...]:
    """A site's rows of the three tables. Pixels that padding repeats are not counted twice."""
    recipe, site = task.recipe, task.site
    path = task.benchmark.cube(site.site_id)
    labels = cube.periods_of(path)
    if not labels:
        return [], [], []
    masks = Masks.read(path)
    wanted = far_enough(pairs.wanted(labels, recipe), cube.attributes_of(path), labels, recipe)
    tiles, tile_periods, pair_rows = [], [], []
    for y0 in starts(int(site.height), recipe.tiling):
        for x0 in starts(int(site.width), recipe.tiling):
            tile = _tile(site, y0, x0, recipe.tiling.size, task.split)
            window = np.s_[y0 : y0 + tile["height"], x0 : x0 + tile["width"]]
            tiles.append(tile)
            tile_periods += _period_rows(tile, masks, window)
            pair_rows += _pair_rows(tile, masks.counts(window), [(labels[i], labels[j]) for i, j in wanted])
    return tiles, tile_periods, pair_rows


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
            log.info("%s: %s to %s lie too near", attributes["site_id"], labels[i], labels[j])
        kept += [(i, j)] if enough else []
    return kept


def months_between(first: date, last: date) -> float:
    """Months from one day to a later one, by their mean length."""
    return (last - first).days / statistics.MONTH_DAYS


def _tile(site: Any, y0: int, x0: int, size: int, part: str) -> dict[str, Any]:
    height, width = min(size, int(site.height)), min(size, int(site.width))
    return {
        "tile_id": f"{site.site_id}_{y0:05d}_{x0:05d}",
        "site_id": site.site_id,
        "split": part,
        "y0": y0,
        "x0": x0,
        "height": height,
        "width": width,
        "pad_y": size - height,
        "pad_x": size - width,
    }


def _period_rows(tile: dict[str, Any], masks: Masks, window: Any) -> list[dict[str, Any]]:
    """Fractions of the tile's pixels; `mine_fraction` is of the known ones, NaN without any."""
    rows = []
    for i, (period, known) in enumerate(zip(masks.periods, masks.known(window), strict=True)):
        mine, clear = masks.mine[i][window], masks.clear[i][window]
        rows.append(
            {
                "tile_id": tile["tile_id"],
                "period": period,
                "mine_fraction": float((mine[known] == 1).mean()) if known.any() else float("nan"),
                "unknown_fraction": float(1 - known.mean()),
                "clear_fraction": float((clear > 0).mean()),
            }
        )
    return rows


def _pair_rows(
    tile: dict[str, Any], counts: dict[tuple[str, str], Count], wanted: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Rows of the wanted pairs; of those without a label, where change was drawn, none."""
    return [
        {
            "tile_id": tile["tile_id"],
            "t1": t1,
            "t2": t2,
            "interval": periods.interval(t1, t2),
            "split": tile["split"],
            **counts[t1, t2]._asdict(),
        }
        for t1, t2 in wanted
        if (t1, t2) in counts
    ]
