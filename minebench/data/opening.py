"""A split of a benchmark as a Dataset, by name."""

from collections.abc import Sequence
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
    bands: Sequence[str] | None = None,
    neighbours: bool | None = None,
    fold: str | None = None,
    analysis: str | None = None,
    level: str | None = None,
    sites: int | None = None,
    seed: int = 0,
) -> Pairs | Series:
    """Return a split of a benchmark as a torch Dataset.

    Parameters
    ----------
    benchmark_dir
        The benchmark's folder, data/<name>.
    task
        "pairs" or "series".
    split
        "train", "val" or "test".
    scale
        What images are standardised with; without it the training split's mean and deviation.
    bands
        Which bands, in which order; all of them without.
    neighbours
        Whether pairs have the 3x3 neighbourhood of their tile; without it the recipe decides.
    fold
        Another split by site, from index/folds: "kfold/0" or "country/DEU".
    analysis, level
        A set of index/analysis over the test split, and one of its levels; all of them without.
    sites, seed
        So many of the split's sites alone, drawn by the seed.

    Raises
    ------
    UnknownName, InputError
        Where a name is unknown or nothing is left.
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
        return AnalysisPairs(cubes, chosen, rows_of(benchmark_dir, analysis, level), scale, beyond, bands)
    if task == "series":
        return Series(cubes, chosen, scale, bands)
    pairs = datasets.read_table(benchmark_dir, "pairs")
    return Pairs(cubes, chosen, pairs[pairs.tile_id.isin(chosen.tile_id)], scale, beyond, bands)
