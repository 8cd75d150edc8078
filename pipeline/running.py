"""Build a benchmark from Python, as the command line does: `pipeline.new`, `run` and `release`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minebench import layout, rank
from minebench.errors import InputError, UnknownName
from minebench.layout import BenchmarkPaths
from pipeline import stages
from pipeline.core import locks, log_file
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.cli.new import Made
    from pipeline.publish.publish_folder import Published


def new(
    name: str,
    mines: str | PathLike[str],
    root: str | PathLike[str] = ".",
    *,
    source: str | None = None,
    like: str | None = None,
    images: str | PathLike[str] | None = None,
    layer: str | None = None,
    yes: bool = False,
) -> Made:
    """Make a benchmark's folder, ``catalogs/<name>``, from a list of mines.

    Parameters
    ----------
    name
        The name of the benchmark.
    mines
        A vector file or CSV, or the name of a published list.
    root
        The project's folder, which holds `catalogs`.
    source
        Where images come from: earthengine, stac, local, xyz or synthetic.
    like
        A benchmark whose recipe to start from.
    images
        A folder of dated images or a cube, for the source local.
    layer
        The layer of a file that has several.
    yes
        Take what is not sure of the images as guessed, and large repairs of the list.

    Returns
    -------
    Made
        With the paths of the `benchmark`, an `account` of the list in sentences, an `estimate` of what
        fetching takes, and what is left to do.

    Raises
    ------
    InputError
        Where anything is wrong or not sure; nothing is written then. It is a `ValueError` as well.

    Examples
    --------
    >>> made = pipeline.new("theirs", "mines.csv", source="synthetic")
    >>> made.benchmark.recipe.as_posix()
    'catalogs/theirs/recipe.yaml'
    """
    from pipeline.cli import asking
    from pipeline.cli import new as scaffold

    wanted = scaffold.Wanted(
        name, str(mines), layer, source, like, None if images is None else Path(images), yes
    )
    return scaffold.scaffold(wanted, Path(root), accept=lambda seen: asking.accept_images(seen, yes))


def run(
    stage: str,
    benchmark: str,
    root: str | PathLike[str] = ".",
    *,
    model: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    **options: Any,
) -> Any:
    """Run a stage of a benchmark, and redo only what its inputs have changed.

    Parameters
    ----------
    stage
        A stage of the DAG: sites, archive, fetch, compose, annotate, tile, train, evaluate, compare,
        activity, catalog or report.
    benchmark
        Its name: there is a recipe at ``catalogs/<name>/recipe.yaml``.
    root
        The project's folder, which holds `catalogs` and gets `data`.
    model
        For `train` and `evaluate`: a model, or a run of one such as ``unet@first``.
    workers
        Sites worked on at a time, each in a process of its own.
    scheduler
        The address of a Dask scheduler to work there instead.
    **options
        What the stage takes (`refresh` of `fetch`, `threshold` of `evaluate`), and of `train` the settings
        of the documentation's page on settings.

    Returns
    -------
    object
        What the stage says of its work: a count of sites, a table, scores, or None.

    Raises
    ------
    UnknownName
        Where there is no such stage or benchmark; it is a `ValueError` as well.
    WorkError
        Where the work failed, or another process is at it.

    Examples
    --------
    >>> pipeline.run("compose", "ours")  # how many sites had to be composed
    0
    """
    from pipeline import recipe

    names = [each.name for each in stages.STAGES]
    if stage not in names:
        raise UnknownName(f"There is no stage '{stage}'; stages: {', '.join(names)}.")
    of_model = stages.named(stage).of_model
    if of_model != (model is not None):
        takes = "needs a model: give model=" if of_model else "takes no model"
        raise InputError(f"The stage {stage} {takes}.")
    where = layout.find(benchmark, Path(root))
    loaded = recipe.load(where.recipe)
    name = f"{stage}-{model}" if model else stage
    lock, what = where.lock(stages.LOCKS.get(stage, name)), f"`minebench {stage}` of {benchmark}"
    with locks.holding(lock, what), log_file.during(where.log(name)):
        if model is not None and stage == "train":
            return train(where, loaded, model, options)
        function = stages.named(stage).load()
        if model is not None:
            return function(where.data, model, **options)
        if stages.named(stage).is_whole:
            return function(where, loaded, **options)
        from pipeline.core.runner import Spread

        return function(where, loaded, Spread(workers, scheduler), **options)


def release(
    benchmark: str,
    out: str | PathLike[str],
    root: str | PathLike[str] = ".",
    *,
    version: str | None = None,
    workers: int = 1,
) -> Published:
    """Write a benchmark's catalog, pixels, tables, cards, report and viewer into one folder, as `minebench
    publish` does.

    Parameters
    ----------
    benchmark
        Its name.
    out
        The folder to write, for any static web server or data repository.
    root
        The project's folder.
    version
        Of this release, such as ``1.1``; without it the folder has none.
    workers
        Sites worked on at a time.

    Returns
    -------
    Published
        What was written, with counts of `files` and bytes.

    Raises
    ------
    InputError
        Where `out` is something else, or the images' terms forbid it; it is a `ValueError` as well.
    WorkError
        Where what was written is not what the catalog says.

    Examples
    --------
    >>> pipeline.release("ours", "out").left_out
    []
    """
    from pipeline import recipe
    from pipeline.core.runner import Spread
    from pipeline.publish import publish_folder

    where = layout.find(benchmark, Path(root))
    loaded = recipe.load(where.recipe)
    with (
        locks.holding(where.lock("publish"), f"`minebench publish` of {benchmark}"),
        log_file.during(where.log("publish")),
    ):
        return publish_folder.publish(where, loaded, Path(out), Spread(workers, None), version)


def train(where: BenchmarkPaths, recipe: Recipe, model: str, given: Mapping[str, Any]) -> Path:
    """Train a run with its model's settings and those that are `given`; return its weights. The name says how
    many sites it learns from, and a smoothed run's model is trained first."""
    # Here and not above: PyTorch takes seconds to import.
    from models import registry
    from models.run_name import RunName
    from models.training.settings import Settings
    from models.training.train import train as train_model

    registry.task_of(model)
    name = RunName.parse(model)
    trained = str(name.trained)
    settings = Settings.of({**given, **({} if name.sites is None else {"sites": name.sites})}, trained)
    lock, what = where.lock(f"train-{trained}"), f"`minebench train-{trained}` of {where.name}"
    # Of several processes that train one model the first one has the locks.
    with locks.holding(lock, what) if name.smoothing and rank.is_first() else nullcontext():
        weights = train_model(where.data, trained, settings, recipe.profile.name)
    if name.smoothing is None:
        return weights
    from models.evaluation.smooth import learn

    return learn(where.data, model, settings.fold)
