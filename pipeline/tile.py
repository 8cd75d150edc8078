"""Stage `tile`: windows, their periods, their pairs and their split, as tables over the cubes.

index/tiles.parquet          one row a window
index/tile_periods.parquet   one row a window and period
index/pairs.parquet          one row a window and pair of periods
"""

import logging
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from models.errors import InputError, WorkError
from pipeline import cube, periods, split, tables
from pipeline.layout import Benchmark
from pipeline.parallel import each_site
from pipeline.recipe import Recipe, Tiling

log = logging.getLogger(__name__)
TILE = ["tile_id", "site_id", "split", "y0", "x0", "height", "width", "pad_y", "pad_x"]
TILE_PERIOD = ["tile_id", "period", "mine_fraction", "unknown_fraction", "clear_fraction"]
PAIR = ["tile_id", "t1", "t2", "interval", "changed", "expanded", "reduced", "unknown", "split"]
Counts = NDArray[np.int64]


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Write the three tables; returns the number of tiles. InputError where nothing fits."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    splits = split.assign(sites, recipe.split)
    tasks = [(benchmark, recipe, row, splits[row.site_id]) for row in sites.itertuples()]
    found = each_site("tile", tasks, _tile_site, workers, scheduler)
    tiles, tile_periods, pairs = (
        pd.DataFrame([row for part in found for row in part[table]]) for table in range(3)
    )
    if tiles.empty:
        raise InputError(
            f"{benchmark.recipe}: tiling.size {recipe.tiling.size} fits no site; lower it or set tiling.pad."
        )
    if pairs.empty:
        raise InputError(f"{benchmark.recipe}: no site has two periods that make one of the pairs.")
    for name, table, columns in (
        ("tiles", tiles, TILE), ("tile_periods", tile_periods, TILE_PERIOD), ("pairs", pairs, PAIR),
    ):  # fmt: skip
        tables.write(table[columns], benchmark.table(name))
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


def wanted_pairs(labels: list[str], recipe: Recipe) -> list[tuple[int, int]]:
    """Index pairs (earlier, later) of a site's periods, by the recipe."""
    count = len(labels)
    match recipe.pairs:
        case "all":
            return [(i, j) for i in range(count) for j in range(i + 1, count)]
        case "consecutive":
            return [(i, i + 1) for i in range(count - 1)]
        case "first_last":
            return [(0, count - 1)] if count > 1 else []
        case explicit:
            position = {label: i for i, label in enumerate(labels)}
            chosen = [(position[a], position[b]) for a, b in explicit if a in position and b in position]
            return sorted((min(pair), max(pair)) for pair in chosen)


def pair_counts(mine: NDArray[np.uint8], known: NDArray[np.bool_]) -> tuple[Counts, Counts, Counts]:
    """Pixels expanded, reduced and unknown for every pair of dates at once.

    `mine` and `known` are (date, pixel). With A mine and B background where known, expanded is
    B·Aᵀ, reduced A·Bᵀ and known in both K·Kᵀ: (date, date) tables indexed [earlier, later].
    """
    a = ((mine == 1) & known).astype(np.float32)
    b = ((mine == 0) & known).astype(np.float32)
    k = a + b
    # Sums of up to 2**24 ones are exact in float32.
    count = mine.shape[1]
    if count >= 1 << 24:
        a, b, k = a.astype(np.float64), b.astype(np.float64), k.astype(np.float64)
    expanded, reduced, both = b @ a.T, a @ b.T, k @ k.T
    return expanded.astype(np.int64), reduced.astype(np.int64), count - both.astype(np.int64)


def _tile_site(task: tuple[Benchmark, Recipe, Any, str]) -> tuple[list[dict[str, Any]], ...]:
    """A site's rows of the three tables. Pixels that padding repeats are not counted twice."""
    benchmark, recipe, site, part = task
    path = benchmark.cube(site.site_id)
    labels = cube.periods_of(path)
    if not labels:
        return [], [], []
    try:
        group = zarr.open_group(path, mode="r")
        mine, clear = np.asarray(group["mine"][:]), np.asarray(group["clear"][:])
    except (KeyError, FileNotFoundError):
        raise WorkError(f"{path} has no masks: run `minebench annotate` first.") from None
    pairs = wanted_pairs(labels, recipe)
    tiles, tile_periods, pair_rows = [], [], []
    for y0 in starts(int(site.height), recipe.tiling):
        for x0 in starts(int(site.width), recipe.tiling):
            tile = _tile(site, y0, x0, recipe.tiling.size, part)
            window = np.s_[:, y0 : y0 + tile["height"], x0 : x0 + tile["width"]]
            masks = mine[window].reshape(len(labels), -1)
            seen = clear[window].reshape(len(labels), -1) > 0
            tiles.append(tile)
            tile_periods += _period_rows(tile, labels, masks, seen)
            pair_rows += _pair_rows(tile, labels, pairs, masks, (masks != 255) & seen)
    return tiles, tile_periods, pair_rows


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


def _period_rows(
    tile: dict[str, Any], labels: list[str], masks: NDArray[np.uint8], seen: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Fractions of the tile's pixels; `mine_fraction` is of the known ones, NaN without any."""
    rows = []
    for label, mask, clear in zip(labels, masks, seen, strict=True):
        known = (mask != 255) & clear
        rows.append(
            {
                "tile_id": tile["tile_id"],
                "period": label,
                "mine_fraction": float((mask[known] == 1).mean()) if known.any() else float("nan"),
                "unknown_fraction": float(1 - known.mean()),
                "clear_fraction": float(clear.mean()),
            }
        )
    return rows


def _pair_rows(
    tile: dict[str, Any],
    labels: list[str],
    pairs: list[tuple[int, int]],
    masks: NDArray[np.uint8],
    known: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    expanded, reduced, unknown = pair_counts(masks, known)
    return [
        {
            "tile_id": tile["tile_id"],
            "t1": labels[i],
            "t2": labels[j],
            "interval": periods.interval(labels[i], labels[j]),
            "changed": int(expanded[i, j] + reduced[i, j]),
            "expanded": int(expanded[i, j]),
            "reduced": int(reduced[i, j]),
            "unknown": int(unknown[i, j]),
            "split": tile["split"],
        }
        for i, j in pairs
    ]
