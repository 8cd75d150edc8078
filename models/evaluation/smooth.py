"""A trained footprint model smoothed over time, as a run of its own.

    runs/<model>-hmm/model.pt           footprints; runs/<model>-hmm-change/model.pt: change
    runs/<model>-hmm/run.json           of which run, and what was learnt
    runs/<model>-hmm/live/              the rates, for `dvc plots`

Rates of growth and reclamation are those of the training truth; how far the model's probabilities can be
trusted is learnt on the validation split, or without one on the training split.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dvclive import Live

from minebench import periods, receipts
from minebench.data import datasets, opening
from minebench.data.datasets import Series
from minebench.errors import InputError, UnknownName
from minebench.files import replacing, sha256, write_json
from minebench.masks import UNKNOWN
from minebench.metrics.histogram import Histogram
from models import registry
from models.base import Model
from models.evaluation import processes
from models.evaluation.inference import Network
from models.evaluation.score_segmentation import Segmentation
from models.evaluation.stacks import Stacks
from models.run_name import RunName
from models.smoothing import Smoothing, learnt
from models.training.checkpoint import environment, is_trained, load_run, run_folder
from models.training.train import LIVE

VERSION = 1
"""Of what is learnt: raise it when the same truth and weights give other rates."""


def learn(benchmark_dir: Path, model: str, fold: str | None = None) -> Path:
    """Learn what smooths the trained run that `model` is named after, and write the run; returns its weights.
    NotMadeYet where that was not trained, InputError where the training truth has no two dates."""
    name = str(RunName.parse(model).trained)
    network, scale, saved = load_run(benchmark_dir, name, fold, processes.device())
    base = run_folder(benchmark_dir, name, fold)
    weights = sha256(base / "model.pt")
    run = run_folder(benchmark_dir, model, fold)
    key = receipts.fingerprint([VERSION, model, weights, datasets.key_of(benchmark_dir), fold])
    if is_trained(run, key):
        return run / "model.pt"
    settings = saved["settings"]
    truth = opening.open(
        benchmark_dir, "series", "train", scale, fold=fold, sites=settings.get("sites"), seed=settings["seed"]
    )
    assert isinstance(truth, Series)
    transitions, unit = _transitions(benchmark_dir, truth)
    counted = _probabilities(benchmark_dir, network, truth, fold)
    smoothing = learnt(
        transitions, unit, torch.from_numpy(counted.counts), torch.from_numpy(counted.thresholds)
    )
    with Live(str(run / "live"), **LIVE) as live:
        for word, value in smoothing.saved().items():
            live.log_metric(word, value)
        live.next_step()
    _write(run, key, model, saved, smoothing, {"run": base.name, "weights_sha256": weights})
    return run / "model.pt"


def _write(
    run: Path, key: str, model: str, saved: dict[str, Any], smoothing: Smoothing, of: dict[str, str]
) -> None:
    told = {**saved, "task": registry.task_of(model), "smoothing": smoothing.saved()}
    with replacing(run / "model.pt") as temporary, temporary.open("wb") as file:
        torch.save(told, file)
    head = {"model": model, "settings": saved["settings"], **environment(), receipts.KEY: key}
    write_json(
        {**head, "weights_sha256": sha256(run / "model.pt"), "smoothing": smoothing.saved(), "smooths": of},
        run / "run.json",
    )


def _transitions(benchmark_dir: Path, truth: Series) -> tuple[list[int], int]:
    """Pixels of the truth that the model learnt from, from none to none, none to mine, mine to none, mine to
    mine, between dates as near to one another as they come; and how near that is."""
    found: dict[int, Any] = {}
    for tile in truth.tiles:
        labels = truth.cubes.periods(tile.site_id)
        masks = np.empty((len(labels), *tile.shape), np.uint8)
        for date, mask in enumerate(masks):
            truth.cubes.mask_into(mask, tile, date)
        for (a, one), (b, other) in pairwise(zip(labels, masks, strict=True)):
            known = (one != UNKNOWN) & (other != UNKNOWN)
            counts = np.bincount(2 * one[known] + other[known], minlength=4)
            gap = periods.interval(a, b)
            found[gap] = found.get(gap, 0) + counts
    if not any(np.sum(counts) for counts in found.values()):
        raise InputError(f"{benchmark_dir}: the training split has no site with two labelled dates.")
    unit = min(gap for gap, counts in found.items() if np.sum(counts))
    return [int(n) for n in found[unit]], unit


def _probabilities(benchmark_dir: Path, network: Model, truth: Series, fold: str | None) -> Histogram:
    """The model's probabilities by class, of the validation split where that has both, else of the truth
    that it learnt from."""

    def counted(split: str, only: set[str] | None = None) -> Histogram:
        stacks = Stacks(benchmark_dir, split, truth.scale, processes.device(), fold)
        stacks.own = [tile for tile in stacks.own if only is None or tile.tile_id in only]
        return Segmentation(benchmark_dir, Network(network), stacks, 0.5).run().histogram

    try:
        found = counted("val")
    except UnknownName:  # there is no such split
        found = Histogram()
    if found.counts.any(axis=1).all():
        return found
    return counted("train", {tile.tile_id for tile in truth.tiles})
