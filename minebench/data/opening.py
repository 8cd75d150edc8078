"""Open a split of a benchmark as a torch Dataset."""

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
        Statistics that standardise the images; default: those of the training split.
    bands
        Names of the bands in the order of the channels; default: all bands.
    neighbours
        Whether pairs have the 3x3 neighbourhood of their tile; default: as the recipe says.
    fold
        Splits by site from index/folds, such as "kfold/0" or "country/DEU"; default: the benchmark's splits.
    analysis, level
        An analysis set of the test split, and one of its levels; default: no analysis set, all levels.
    sites, seed
        Number of the split's sites to use, drawn with the seed; default: all sites.

    Returns
    -------
    Pairs or Series
        The dataset, with `bands`, `mean`, `std` and `table`.

    Raises
    ------
    UnknownName, InputError
        If a name is unknown or the selection is empty.
    NotMadeYet
        If a table or cube is missing.
    """
    benchmark_dir = Path(benchmark_dir)
    if task not in TASKS:
        raise UnknownName(f"'{task}' is not a task; choose one of {', '.join(TASKS)}.")
    tiles = datasets.read_table(benchmark_dir, "tiles")
    has_context = tiles.attrs.get("neighbours", False) if neighbours is None else neighbours
    beyond = datasets.beyond_of(benchmark_dir, tiles) if has_context else None
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
