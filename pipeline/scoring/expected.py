"""What a split asks of whoever predicts it: which maps, by what name, on which grid.

A map is of a tile or of a whole site, and of a date (footprints) or of two (change). Its name is all of them
with underscores between: `<tile_id>_<t1>_<t2>`, `<site_id>_<period>`.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from affine import Affine
from odc.geo.geobox import GeoBox

from minebench.cube.windows import Cubes
from minebench.data import datasets
from minebench.errors import InputError, UnknownName
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site

TASKS = ("change", "segmentation")
Dates = tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """The tiles and sites of a split, and the dates that are asked for of each tile."""

    task: str
    tiles: dict[str, Tile]
    sites: dict[str, Site]
    dates: dict[str, list[Dates]]

    @property
    def maps(self) -> list[tuple[Tile, Dates]]:
        return [(self.tiles[tile_id], own) for tile_id, listed in self.dates.items() for own in listed]

    @property
    def of_sites(self) -> dict[str, list[Dates]]:
        """The dates that are asked for of each site, all its tiles together."""
        found: dict[str, dict[Dates, None]] = {}
        for tile, dates in self.maps:
            found.setdefault(tile.site_id, {})[dates] = None
        return {site_id: list(dates) for site_id, dates in found.items()}

    def grid_of(self, tile: Tile) -> GeoBox:
        """The grid of a tile, its padding included."""
        grid = self.sites[tile.site_id].grid
        return GeoBox(tile.shape, grid.transform * Affine.translation(tile.x0, tile.y0), grid.crs)


def tasks_of(recipe: Recipe) -> tuple[str, ...]:
    """What a benchmark's labels can judge: of labels of change, change alone."""
    return TASKS if recipe.labels.kind == "footprint" else TASKS[:1]


def name(place: str, dates: Dates) -> str:
    return "_".join([place, *dates])


def of(benchmark: BenchmarkPaths, recipe: Recipe, split: str, task: str) -> Expected:
    """What a split asks for. UnknownName without such a split, InputError where footprints are asked for and
    change itself was labelled."""
    if task not in tasks_of(recipe):
        raise InputError(f"{benchmark.name} has labels of change alone: there are no footprints to score.")
    table = datasets.read_table(benchmark.data, "tiles")
    chosen = table[table.split == split]
    if chosen.empty:
        raise UnknownName(
            f"There are no tiles in split '{split}'; splits: {', '.join(table.split.unique())}."
        )
    tiles = {tile.tile_id: tile for tile in tiles_of(chosen)}
    listed = {site.site_id: site for site in sites.load(benchmark, recipe)}
    own = {tile.site_id: listed[tile.site_id] for tile in tiles.values()}
    return Expected(task, tiles, own, _dates(benchmark, tiles, task))


def _dates(benchmark: BenchmarkPaths, tiles: dict[str, Tile], task: str) -> dict[str, list[Dates]]:
    if task == "segmentation":
        cubes = Cubes(benchmark.data)
        periods = {tile.site_id: [(own,) for own in cubes.periods(tile.site_id)] for tile in tiles.values()}
        return {tile_id: list(periods[tile.site_id]) for tile_id, tile in tiles.items()}
    pairs = datasets.read_table(benchmark.data, "pairs")
    found: dict[str, list[Dates]] = {}
    for tile_id, t1, t2 in pairs.loc[pairs.tile_id.isin(tiles), ["tile_id", "t1", "t2"]].itertuples(
        index=False
    ):
        found.setdefault(tile_id, []).append((t1, t2))
    return found


def table(expected: Expected) -> pd.DataFrame:
    """name, of, site_id, tile_id, t1, t2, height, width, epsg, left, top, pixel: every map, by tile and by
    site; a submission has one or the other. A date alone is t1."""
    rows = [_row(tile.tile_id, tile, expected.grid_of(tile), dates) for tile, dates in expected.maps]
    rows += [
        _row(site_id, None, expected.sites[site_id].grid, dates)
        for site_id, listed in expected.of_sites.items()
        for dates in listed
    ]
    return pd.DataFrame(rows)


def _row(place: str, tile: Tile | None, grid: GeoBox, dates: Dates) -> dict[str, Any]:
    transform = grid.transform
    return {
        "name": name(place, dates),
        "of": "tile" if tile else "site",
        "site_id": tile.site_id if tile else place,
        "tile_id": tile.tile_id if tile else "",
        "t1": dates[0],
        "t2": dates[-1] if len(dates) > 1 else "",
        "height": grid.height,
        "width": grid.width,
        "epsg": grid.crs.to_epsg() if grid.crs else "",
        "left": transform.c,
        "top": transform.f,
        "pixel": transform.a,
    }
