"""Command `score`: predictions of any framework as an external run of the benchmark.

    runs/<name>/     the files of `models.evaluation.evaluate`, without model.pt; metrics.json has `external`:
                     who, what, licence, url, checksum, and how many maps of how many there were

Scored like our own runs: the same pixels, counts, intervals and tests.
"""

import re
from pathlib import Path
from typing import Any

import torch

from minebench import receipts
from minebench.data import datasets
from minebench.data.datasets import Scale
from minebench.errors import InputError
from minebench.files import ONLY_READ
from minebench.layout import BenchmarkPaths
from minebench.metrics.histogram import Histogram
from models import registry
from models.evaluation import run_files, runs
from models.evaluation.evaluate import FILES, SCORERS, as_probability, check_count, counting, is_scored, write
from models.evaluation.stacks import Stacks
from models.run_name import RunName
from pipeline.core import versions
from pipeline.recipe import Recipe
from pipeline.scoring import expected, submission
from pipeline.scoring.expected import TASKS, Expected

NOT_WRITTEN = "not_written"
"""In the metrics that `build` returns: that the benchmark can only be read, and no run was made."""
VERSION = 1
"""Of the reading of submissions: raise it when the same files give other scores."""


def expected_of(
    benchmark: BenchmarkPaths, recipe: Recipe, split: str, task: str | None
) -> dict[str, Expected]:
    """What a split asks for, by task; all that the labels can judge without `task`. InputError where it is
    none."""
    if task is not None and task not in TASKS:
        raise InputError(f"--task is '{task}': it is {' or '.join(TASKS)}.")
    asked = [task] if task else expected.tasks_of(recipe)
    return {own: expected.of(benchmark, recipe, split, own) for own in asked}


def build(
    benchmark: BenchmarkPaths, recipe: Recipe, folder: Path, name: str, split: str, task: str | None,
    threshold: float, is_partial: bool, count: str = "ground",
) -> dict[str, Any]:  # fmt: skip
    """Score a folder of predictions as the run `name`; returns the metrics. InputError where it cannot be."""
    check_name(name)
    check_count(count)
    run = _run(benchmark, name)
    cut = as_probability(threshold, Histogram)
    wanted = expected_of(benchmark, recipe, split, task)
    chosen = wanted[submission.task_of(folder, wanted)]
    found = submission.read(folder, chosen, benchmark.data / "logs" / f"score-{name}.csv", is_partial)
    asked = len(chosen.maps)
    external = {**found.about, "checksum": found.checksum, "predicted": found.predicted, "asked": asked}
    data = datasets.key_of(benchmark.data)
    bands = len(datasets.bands_of(benchmark.data))
    plain = Scale(*(torch.tensor([value] * bands).numpy() for value in (0.0, 1.0)))
    stacks = Stacks(benchmark.data, split, plain, found.device, count=count)
    key = receipts.fingerprint([VERSION, name, external, data, split, cut, *counting(stacks)])
    if is_scored(run, key):
        return run_files.metrics_of(run)
    scored = SCORERS[chosen.task](benchmark.data, found, stacks, cut).run()
    measured = scored.result()
    if not sum(measured["pixels"].values()):
        raise InputError(
            f"{benchmark.name} has no labels of the {split} split: they are hidden, or were not made. Send "
            "the predictions to whoever has them."
        )
    head = {"model": name, "task": chosen.task, "split": split, "fold": "", "threshold": cut,
            "count": count, runs.EXTERNAL: external, runs.DATA: data,
            runs.RELEASE: versions.last(benchmark.folder / "releases")}  # fmt: skip
    result = {**head, **measured}
    try:
        write(run, result, scored, {scored.unit: None, "device": "", receipts.KEY: key})
    except OSError as error:
        if error.errno not in ONLY_READ:
            raise
        return {**result, NOT_WRITTEN: True}
    return result


def check_name(name: str) -> None:
    """InputError where a run cannot be called so."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", name):
        raise InputError(f"--name {name}: use letters, digits, and . _ - between them, 60 at most.")
    if any(RunName.parse(name).model in registry.names(task) for task in TASKS):
        raise InputError(f"--name {name} is a model of minebench: give your predictions a name of their own.")


def _run(benchmark: BenchmarkPaths, name: str) -> Path:
    """Where the run goes. InputError where there is a run of ours."""
    run = benchmark.run(name)
    metrics = run / "metrics.json"
    was_scored = metrics.is_file() and runs.EXTERNAL in run_files.metrics_of(run)
    names = {path.name for path in run.iterdir() if path.name[0] != "."} if run.is_dir() else set()
    # A kill leaves some of the scores without metrics.json, which comes after them.
    if not was_scored and (metrics.is_file() or names - {*FILES}):
        raise InputError(f"{run} is there already and is no submission: choose another --name.")
    return run
