"""Command `export`: a benchmark in the layout that somebody's code already reads.

Every layout gets the pairs or footprints of the index, cut from the cubes. Labels of these layouts know
only 0 and 1: a pair of which more than `max_unknown` is unknown is left out, what little is unknown in
the others becomes unchanged, and both are counted. Padding repeats image and label alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from minebench import __version__, tables
from minebench.cube import store
from minebench.cube.windows import Cubes
from minebench.errors import InputError, UnknownName
from minebench.files import replacing, write_json
from minebench.layout import BenchmarkPaths
from pipeline.export import coco, folders, minenetcd256, oms2cd, webdataset
from pipeline.export.jobs import ABOUT_EXPORT, Job
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.stac import dataset_card

LAYOUTS: dict[str, Callable[[Job], None]] = {
    "coco": coco.write,
    "folders": folders.write,
    "minenetcd256": minenetcd256.write,
    "oms2cd": oms2cd.write,
    "webdataset": webdataset.write,
}
"""What can be exported to, by name."""
BY_PAIR = ("folders", "minenetcd256", "webdataset")
"""Layouts whose items are pairs of tiles."""


@dataclass(frozen=True)
class Exported:
    """Where an export went and what it holds: items by split, pairs left out for too many unknown
    pixels, and unknown pixels that became unchanged in the others."""

    folder: Path
    written: dict[str, int]
    left_out: int
    made_known: int

    def __str__(self) -> str:
        text = ", ".join(f"{count:,} {split}" for split, count in self.written.items())
        if self.left_out:
            text += f"; {self.left_out:,} pairs left out because too much of them is unknown"
        if self.made_known:
            text += f"; {self.made_known:,} unknown pixels became 0"
        return f"{self.folder} ({text})"


def export(
    benchmark: BenchmarkPaths, recipe: Recipe, to: str, folder: Path | None, image: str, max_unknown: float
) -> Exported:
    """Write a benchmark in a layout, whole or not at all. InputError on an unknown layout, a folder that
    exists, or a layout that cannot hold this benchmark."""
    if to not in LAYOUTS:
        raise UnknownName(f"'{to}' is not a layout; choose one of {', '.join(LAYOUTS)}.")
    if image not in {"png", "tif"}:
        raise UnknownName(f"'{image}' is not an image format of this layout; choose png or tif.")
    if not 0 <= max_unknown <= 1:
        raise InputError(f"--max-unknown must be a share from 0 to 1, not {max_unknown:g}.")
    folder = folder or benchmark.data / "export" / to
    if folder.exists():
        raise InputError(f"{folder} exists already: remove it, or name another folder with --out.")
    # What is missing is known before anything is written.
    card = dataset_card.contents(benchmark, recipe)
    tiles = tables.read(benchmark.table("tiles"), "tile")
    pairs = tables.read(benchmark.table("pairs"), "tile")
    store.require_all(benchmark, tiles.site_id.unique())
    if to in BY_PAIR:
        _check_known(benchmark, tiles, pairs, max_unknown)
    with replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        listed = sites.load(benchmark, recipe)
        job = Job(
            benchmark, recipe, temporary, image, max_unknown, card["licence"], listed, tiles, pairs,
            Cubes(benchmark.data),
        )  # fmt: skip
        LAYOUTS[to](job)
        if not job.written:
            raise _unknown(benchmark, max_unknown)
        dataset_card.write(card, temporary)
        about = {"benchmark": benchmark.name, "minebench": __version__, "layout": to,
                 "resolution_m": recipe.sensor.resolution}  # fmt: skip
        write_json(about, temporary / ABOUT_EXPORT)
    return Exported(folder, job.written, job.left_out, job.made_known)


def _check_known(
    benchmark: BenchmarkPaths, tiles: pd.DataFrame, pairs: pd.DataFrame, max_unknown: float
) -> None:
    """InputError where every pair would be left out."""
    pixels = (tiles.height * tiles.width).set_axis(tiles.tile_id)
    if not (pairs.unknown <= max_unknown * pairs.tile_id.map(pixels)).any():
        raise _unknown(benchmark, max_unknown)


def _unknown(benchmark: BenchmarkPaths, max_unknown: float) -> InputError:
    return InputError(
        f"Every pair of {benchmark.name} is more unknown than {max_unknown:.0%}: annotate it, or raise "
        "--max-unknown."
    )
