"""Sets that take a model's test scores apart, as index tables over the same cubes (INSINet, Xie et al. 2024).

    neighbourhood     one region an eighth of a tile wide, drawn at random, seen at 16 places of a window:
                      outer, middle, inner ring and core, four corners each; only its own pixels count
    scale             pairs brought down to 1/2, 1/4, 1/8, 1/16 and up again
    object_size       pairs by the mean size of their changed objects: small, medium, large
    misregistration   pairs whose second image is moved by 1, 2, 4, 8 pixels
    size_scale        pairs of object_size, each at every scale

No pixel is copied: `minebench.data.open(..., analysis="scale", level="4")` reads them. All are of the
test split. Where the paper is silent: a tile's region is drawn, by SEED and the tile's id, among the eighths
for which all 16 windows lie within the site, and seen on the pair of the longest interval; sizes are split
at their terciles; each pair is moved in one of eight directions, drawn by its ids.
"""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow.dataset import field
from scipy import ndimage

from minebench import tables
from minebench.cube.labels import Labels
from minebench.index import RINGS, SCALES, SIZES, Tile, crossed, tiles_of
from minebench.layout import BenchmarkPaths
from pipeline.core.runner import Spread, Tasks, each_site
from pipeline.sites.site import Site

VERSION = 2
"""Of the sets: raise it when the same cubes give others."""
SEED = 0
"""Of the regions that are drawn."""
CELLS = 8
SHIFTS = (1, 2, 4, 8)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
TEXT = {"tile_id", "site_id", "level", "t1", "t2", "corner"}
WINDOW = ["tile_id", "site_id", "level", "t1", "t2", "y0", "x0", "height", "width", "pad_y", "pad_x"]
COLUMNS = {
    "neighbourhood": [*WINDOW, "corner", "region_y", "region_x", "region_size"],
    "scale": [*WINDOW, "scale"],
    "object_size": [*WINDOW, "objects", "mean_object_px"],
    "misregistration": [*WINDOW, "dy", "dx"],
    "size_scale": [*WINDOW, "scale", "objects", "mean_object_px"],
}
BY_SIZE = ("object_size", "size_scale")
"""Sets whose levels hang on all sites."""
PAIRS = ["tile_id", "t1", "t2", "interval", "changed"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One site's work: its tiles of the test split, and their pairs."""

    benchmark: BenchmarkPaths
    site: Site
    tiles: pd.DataFrame
    pairs: pd.DataFrame


def build(benchmark: BenchmarkPaths, sites: list[Site], tiles: pd.DataFrame, spread: Spread) -> None:
    """Write index/analysis/<set>.parquet for the test split. The table of pairs is there already."""
    tested = tiles[tiles.split == "test"]
    groups = {str(site_id): own for site_id, own in tested.groupby("site_id")}
    parts = tables.batches(benchmark.table("pairs"), "tile", PAIRS, field("split") == "test")
    pairs = pd.concat([pd.DataFrame(columns=PAIRS), *parts], ignore_index=True)
    places = pairs.groupby(pairs.tile_id.map(dict(zip(tested.tile_id, tested.site_id, strict=True)))).indices

    def task(site: Site) -> Task:
        return Task(benchmark, site, groups[site.site_id], pairs.iloc[places.get(site.site_id, [])])

    tasks = Tasks([site for site in sites if site.site_id in groups], task)
    sized: list[tuple[Any, ...]] = []
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(tables.writing(path(benchmark, name), _types(name), {}))
            for name in COLUMNS
            if name not in BY_SIZE
        }
        for found in each_site("analysis", tasks, _of_site, spread):
            rows = {
                name: [tuple(row[c] for c in COLUMNS[name]) for row in own] for name, own in found.items()
            }
            for name, writer in writers.items():
                writer.add(rows[name])
            sized += rows["object_size"]
    whole = pd.DataFrame(sized, columns=COLUMNS["object_size"]).astype(_types("object_size"))
    sizes = by_terciles(whole)
    tables.write(sizes, path(benchmark, "object_size"))
    tables.write(at_scales(sizes), path(benchmark, "size_scale"))


def _types(name: str) -> dict[str, str]:
    return {
        column: "str" if column in TEXT else "float64" if column == "mean_object_px" else "int64"
        for column in COLUMNS[name]
    }


def path(benchmark: BenchmarkPaths, name: str) -> Any:
    return benchmark.table(f"analysis/{name}")


def _of_site(task: Task) -> dict[str, list[Row]]:
    site, by_tile = task.site, {str(tile_id): own for tile_id, own in task.pairs.groupby("tile_id")}
    masks = Labels.read(task.benchmark.cube(site.site_id))

    def label(tile: Tile, t1: str, t2: str) -> NDArray[np.uint8]:
        return masks.label(t1, t2, tile.window)

    shape = site.shape
    rows: dict[str, list[Row]] = {name: [] for name in COLUMNS if name != "size_scale"}
    for tile in tiles_of(task.tiles):
        own = by_tile.get(tile.tile_id)
        if own is None:
            continue
        longest = own.iloc[own.interval.argmax()]
        if not tile.pad_y and not tile.pad_x and site.epsg:
            rows["neighbourhood"] += _around(tile, longest, region_of(tile, shape))
        for pair in tables.each(own):
            window = _window(tile, pair)
            rows["scale"] += [{**window, "level": str(scale), "scale": scale} for scale in SCALES]
            rows["misregistration"] += list(_moved(window))
            if pair.changed:
                rows["object_size"].append({**window, **objects(label(tile, pair.t1, pair.t2))})
    return rows


def _window(tile: Tile, pair: Any) -> Row:
    own = {name: getattr(tile, name) for name in WINDOW if name not in {"level", "t1", "t2"}}
    return {**own, "level": "", "t1": pair.t1, "t2": pair.t2}


def region_of(tile: Tile, shape: tuple[int, int], seed: int = SEED) -> tuple[int, int, int] | None:
    """One eighth of the tile, drawn by the seed and the tile's id among those that fit: (y, x) in the site
    and its side, pixels; None where none fits."""
    size = tile.height // CELLS
    reach = tile.height - size
    corners = [(tile.y0 + i * size, tile.x0 + j * size) for i, j in np.ndindex(CELLS, CELLS)]
    fitting = [
        (y, x)
        for y, x in corners
        if min(y, x) >= reach and y + tile.height <= shape[0] and x + tile.width <= shape[1]
    ]
    if not fitting or not size:
        return None
    drawn = np.random.default_rng([seed, zlib.crc32(tile.tile_id.encode())])
    return (*fitting[drawn.integers(len(fitting))], size)


def _around(tile: Tile, pair: Any, region: tuple[int, int, int] | None) -> Iterator[Row]:
    """Sixteen windows that show one region in their corners, from the outer ring to the core."""
    if region is None:
        return
    y, x, size = region
    for ring, level in enumerate(RINGS):
        near, far = ring, CELLS - 1 - ring
        for corner, (i, j) in {
            "nw": (near, near),
            "ne": (near, far),
            "sw": (far, near),
            "se": (far, far),
        }.items():
            window = {**_window(tile, pair), "level": level, "y0": y - i * size, "x0": x - j * size}
            yield {
                **window,
                "corner": corner,
                "region_y": i * size,
                "region_x": j * size,
                "region_size": size,
            }


def _moved(window: Row) -> Iterator[Row]:
    name = f"{window['tile_id']}/{window['t1']}/{window['t2']}"
    down, right = DIRECTIONS[zlib.crc32(name.encode()) % len(DIRECTIONS)]
    for shift in SHIFTS:
        yield {**window, "level": str(shift), "dy": down * shift, "dx": right * shift}


def objects(label: NDArray[np.uint8]) -> Row:
    """Changed objects (8-connected) of a label: how many, and their mean size in pixels."""
    _, count = ndimage.label(label == 1, structure=np.ones((3, 3)))
    return {"objects": count, "mean_object_px": float((label == 1).sum() / count) if count else 0.0}


def by_terciles(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs named small, medium or large by thirds of the table; the limits go with the table."""
    if table.empty:
        return table
    limits = [float(value) for value in np.quantile(table.mean_object_px, [1 / 3, 2 / 3])]
    place = np.searchsorted(limits, table.mean_object_px, side="left")
    named = table.assign(level=[SIZES[i] for i in place])
    named.attrs = {"limits_px": limits}
    return named


def at_scales(sizes: pd.DataFrame) -> pd.DataFrame:
    """The pairs of `object_size` at every scale, 1 (as they are) among them."""
    each = [
        sizes.assign(scale=scale, level=[crossed(size, scale) for size in sizes.level])
        for scale in (1, *SCALES)
    ]
    found = pd.concat(each, ignore_index=True)[COLUMNS["size_scale"]].astype(_types("size_scale"))
    found.attrs = sizes.attrs
    return found
