"""A benchmark without the labels of its hidden splits (`split: {hidden: [test]}`), to be published.

    data/<b>/public/catalogs/<b>/, data/<b>/public/data/<b>/

is a benchmark of its own: cubes and runs are links, the masks of hidden sites are unknown throughout, and all
that follows from masks (tables, activity, catalog, report) is made anew from those. So no table, picture or
sum of it can hold what is hidden; scores of models on the hidden split are shown.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minebench import receipts, tables
from minebench.cube import shards, store
from minebench.errors import WorkError
from minebench.files import link, replacing
from minebench.index import Tile, tiles_of
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from pipeline.activity import measure_sites
from pipeline.core.runner import Spread
from pipeline.cubes import cube, writer
from pipeline.index import tile
from pipeline.recipe import Recipe
from pipeline.report import page
from pipeline.stac import root

FOLDER = "public"
INPUTS = ("sites", "scenes", "composites")
"""Tables that know nothing of labels."""
LINKED = ("runs", "leaderboard", "predictions")


def without(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> BenchmarkPaths:
    """The benchmark without hidden labels. WorkError where tiles came out otherwise than they are."""
    public = BenchmarkPaths(benchmark.name, benchmark.data / FOLDER)
    listed = tables.read(benchmark.table("tiles"), "tile")
    _link(benchmark, public)
    for site_id, own in listed.groupby("site_id"):
        hidden = own[own.split.isin(recipe.split.hidden)]
        if len(hidden):
            _blank(public.cube(str(site_id)), recipe, tiles_of(hidden), is_whole=len(hidden) == len(own))
    tile.build(public, recipe, spread)
    _check(listed, tables.read(public.table("tiles"), "tile"), benchmark)
    if benchmark.table("activity/intervals").is_file():
        measure_sites.build(public, recipe, spread)
    root.build(public, recipe, spread)
    if benchmark.report.is_file():
        page.build(public, recipe)
    return public


def sentence(recipe: Recipe) -> str:
    """What a card says of it."""
    splits = " and ".join(recipe.split.hidden)
    return (
        f"The labels of the {splits} split are not part of this release: its masks are unknown (255). "
        "Whoever publishes it scores predictions; `expected/` has their names and grids."
    )


def _link(benchmark: BenchmarkPaths, public: BenchmarkPaths) -> None:
    """Everything that holds no label of a hidden site, and the cubes, by file. Writers replace files: none
    writes through a link."""
    _copy(benchmark.recipe, public.recipe)
    whole = [(benchmark.data / name, public.data / name) for name in ("cubes", *LINKED)]
    for source, target in ((benchmark.mines, public.mines), *whole):
        shutil.rmtree(target, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=link)
    for name in INPUTS:
        _copy(benchmark.table(name), public.table(name))
    # Sites stay in the splits that they are in.
    splits = benchmark.stac / "splits.parquet"
    (public.stac / splits.name).unlink(missing_ok=True)
    if splits.is_file():  # not where single tiles are drawn
        _copy(splits, public.stac / splits.name)
    releases = benchmark.folder / "releases"
    releases.mkdir(exist_ok=True)
    if not (public.folder / releases.name).is_symlink():
        (public.folder / releases.name).symlink_to(releases.resolve())


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copy2(source, temporary)


def _blank(path: Path, recipe: Recipe, tiles: list[Tile], is_whole: bool) -> None:
    """Make what hidden tiles cover unknown, and a site of which all tiles are hidden throughout."""
    side = cube.chunk_side(recipe)
    if not store.receipt(path / "mine").is_file():
        return
    masks = _blanked(shards.read(path / "mine"), tiles, is_whole)
    before = receipts.key_in(store.receipt(path / "mine"))
    # What is made of the masks is made again when other tiles are hidden.
    told = {receipts.KEY: receipts.fingerprint([FOLDER, before, [own.tile_id for own in tiles], is_whole])}
    if pairs := store.change_of(path):
        change = _blanked(shards.read(path / "change"), tiles, is_whole)
        writer.add_change(path, {pair: change[place] for pair, place in pairs.items()}, side)
    writer.add_mask(path, masks, told, side)


def _blanked(masks: Any, tiles: list[Tile], is_whole: bool) -> Any:
    if is_whole:
        return np.full_like(masks, UNKNOWN)
    found = masks.copy()
    for own in tiles:
        found[(slice(None), *own.window)] = UNKNOWN
    return found


def _check(before: pd.DataFrame, after: pd.DataFrame, benchmark: BenchmarkPaths) -> None:
    columns = ["tile_id", "split"]
    if not before[columns].reset_index(drop=True).equals(after[columns].reset_index(drop=True)):
        raise WorkError(
            f"{benchmark.name}: without the hidden labels its tiles or splits come out otherwise, and would "
            "give them away: give the splits as a list (recipe.yaml, split: {by: list})."
        )
