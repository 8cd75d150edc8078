"""Score a trained model on a split.

    runs/<model>/metrics.json     overall, trivial rules beside it, consistency; for `dvc metrics`
    runs/<model>/scores.csv       by period or by interval; for `dvc plots`
    runs/<model>/intervals.csv    change by interval, with the means over sites: as predicted, or between the
                                  predicted footprints of two dates
    runs/<model>/sites.csv        by site
    runs/<model>/curve.csv        precision and recall by threshold
    runs/<model>/counts.parquet   pixel counts by site, dates and side of the AOI: what all scores are of
    runs/<model>/examples.npz     predictions of the best, median and worst site (`examples`)
    runs/<model>/timing.json      how fast, on what

On several processes: accelerate launch -m pipeline.cli evaluate --model NAME

Scope of every score: all known pixels of all tiles of the split, whole tiles, one threshold, counts
summed before dividing. Where tiles overlap each pixel of the ground counts once, for the first tile that has
it; `count` "tiles" counts it in each, as published protocols do that score tile by tile (EuroMineNet).
Average precision is that of probabilities in 1024 steps.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from minebench import receipts
from minebench.data import datasets
from minebench.errors import InputError
from minebench.files import replacing, sha256, write_json
from minebench.metrics.histogram import Histogram
from models.evaluation import examples, processes, run_files, runs
from models.evaluation.inference import predicts_of
from models.evaluation.score_change import Change
from models.evaluation.score_segmentation import Segmentation
from models.evaluation.stacks import Stacks
from models.training.checkpoint import environment, load_run, run_folder

VERSION = 3
"""Of the scores: raise it when the same weights and data give others."""
SCORERS: dict[str, type[Change] | type[Segmentation]] = {"change": Change, "segmentation": Segmentation}
COUNT = ("ground", "tiles")
"""Whether a pixel of several tiles counts once, or in each."""
FILES = ("metrics.json", "scores.csv", "intervals.csv", "sites.csv", "curve.csv", "counts.parquet",
         "examples.npz")  # fmt: skip


def evaluate(
    benchmark_dir: Path,
    model: str,
    split: str = "test",
    fold: str | None = None,
    threshold: float | str = 0.5,
    count: str = "ground",
) -> dict[str, Any]:
    """Evaluate a run's model.pt on a split, of the fold it was trained on, unless that was done already;
    writes the files above beside it and returns the metrics.

    `threshold` is a probability, or "validation" for the one of highest F1 on the validation split; `count`
    is one of COUNT.
    """
    check_count(count)
    device = processes.device()
    run = run_folder(benchmark_dir, model, fold)
    network, scale, saved = load_run(benchmark_dir, model, fold, device)
    weights = sha256(run / "model.pt")

    def opened(split: str) -> Stacks:
        return Stacks(benchmark_dir, split, scale, device, fold, network.context, count)

    stacks = opened(split)
    data = datasets.key_of(benchmark_dir)
    key = receipts.fingerprint([VERSION, weights, data, split, fold, threshold, *counting(stacks)])
    if is_scored(run, key):
        return run_files.metrics_of(run)
    score, predicts = SCORERS[saved["task"]], predicts_of(network, saved)
    chosen = as_probability(
        threshold, lambda: score(benchmark_dir, predicts, opened("val"), 0.5).run().histogram
    )
    scored = score(benchmark_dir, predicts, stacks, chosen).run()
    head = {"model": model, "task": saved["task"], "split": split, "fold": fold or "", "threshold": chosen,
            "count": count, runs.WEIGHTS: weights}  # fmt: skip
    result = {**head, **scored.result()}
    if processes.is_first():
        seconds, done = scored.seconds, scored.done
        rate = {scored.unit: done / seconds if seconds else None, "threads": torch.get_num_threads()}
        write(run, result, scored, {**rate, "device": environment()["device"], receipts.KEY: key})
    processes.wait()
    return result


def check_count(count: str) -> None:
    """InputError where ground cannot be counted so."""
    if count not in COUNT:
        raise InputError(f"count is '{count}': it is {' or '.join(COUNT)}.")


def counting(stacks: Stacks) -> list[str]:
    """What of the counting decides the scores: nothing where no tiles overlap."""
    return ["ground"] if stacks.overlapped else []


def as_probability(given: float | str, histogram: Callable[[], Histogram]) -> float:
    """The threshold that was given, or for "validation" the one of highest F1 in the histogram of the
    validation split. InputError where it is none, or nothing is to be found there."""
    if given == "validation":
        found_on = histogram()
        if not found_on.counts[1].any():
            raise InputError("The validation split has nothing to find: give a probability as the threshold.")
        return max(found_on.best()[0], float(found_on.thresholds[1]))
    try:
        found = float(given)
    except (ValueError, TypeError):
        found = math.nan
    if not 0 < found < 1:
        raise InputError(f"The threshold is '{given}'; give a probability between 0 and 1, or validation.")
    return found


def is_scored(run: Path, key: str) -> bool:
    """Whether a run's scores are there, and of these weights, data and threshold."""
    is_there = all((run / name).is_file() for name in FILES) and run_files.is_sound(run)
    return is_there and receipts.key_in(run / "timing.json") == key


def write(run: Path, result: dict[str, Any], scored: Change | Segmentation, timing: dict[str, Any]) -> None:
    """Write FILES and timing.json of a run."""
    tables = {
        "scores": scored.by_time(),
        "intervals": scored.by_interval(),
        "sites": scored.by_site(),
        "curve": pd.DataFrame(scored.histogram.curve()),
    }
    with replacing(run / "examples.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **examples.kept(tables["sites"], scored.examples))
    for name, table in tables.items():
        with replacing(run / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")
    with replacing(run / "counts.parquet") as temporary:
        scored.counts.to_parquet(temporary, index=False)
    write_json(result, run / "metrics.json")
    write_json(timing, run / "timing.json")
