"""A split of a benchmark as a Dataset, by name."""

from pathlib import Path

from minebench.cube.windows import Cubes
from minebench.data import datasets
from minebench.data.analysis_pairs import AnalysisPairs, rows_of
from minebench.data.datasets import Pairs, Scale, Series
from minebench.errors import UnknownName

TASKS = ("pairs", "series")


def open(
    benchmark_dir: Path | str,
    task: str = "pairs",
    split: str = "train",
    scale: Scale | None = None,
    *,
    neighbours: bool | None = None,
    fold: str | None = None,
    analysis: str | None = None,
    level: str | None = None,
    sites: int | None = None,
    seed: int = 0,
) -> Pairs | Series:
    """A split of the benchmark in `benchmark_dir` (data/<name>) as a Dataset of `task` "pairs" or
    "series". Without `scale` images are standardised by the training split's statistics.

    `neighbours` adds the 3x3 neighbourhood to pairs; without a word the recipe decides. `fold` takes
    another split by site from index/folds: "kfold/0" or "country/DEU". `analysis` takes a set of
    index/analysis over the test split instead, and `level` one of its levels. `sites` takes so many of
    the split's sites alone, drawn by `seed`. InputError where a word is unknown or nothing is left.
    """
    benchmark_dir = Path(benchmark_dir)
    if task not in TASKS:
        raise UnknownName(f"'{task}' is not a task; choose one of {', '.join(TASKS)}.")
    tiles = datasets.read_table(benchmark_dir, "tiles")
    wanted = tiles.attrs.get("neighbours", False) if neighbours is None else neighbours
    beyond = datasets.beyond_of(benchmark_dir, tiles) if wanted else None
    if fold is not None:
        tiles = datasets.folded(benchmark_dir, tiles, fold)
    chosen = tiles[tiles.split == split]
    if chosen.empty:
        raise UnknownName(
            f"{benchmark_dir} has no tiles in split '{split}'; splits: {', '.join(tiles.split.unique())}."
        )
    cubes = Cubes(benchmark_dir)
    scale = scale or datasets.training_scale(cubes, tiles)
    if sites is not None:
        chosen = datasets.of_few_sites(chosen, sites, seed)
    if analysis is not None:
        return AnalysisPairs(cubes, chosen, rows_of(benchmark_dir, analysis, level), scale, beyond)
    if task == "series":
        return Series(cubes, chosen, scale)
    pairs = datasets.read_table(benchmark_dir, "pairs")
    return Pairs(cubes, chosen, pairs[pairs.tile_id.isin(chosen.tile_id)], scale, beyond)
