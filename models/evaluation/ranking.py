"""The leaderboard: every evaluated model of a benchmark, and whether any two differ.

Scores follow from the inputs alone; throughput is what the evaluation measured on its machine.
"""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from minebench.errors import NotMadeYet
from models.evaluation import bootstrap, run_files, runs, sizes
from models.evaluation.score_names import MEASURED
from models.evaluation.scores import COUNTS
from models.training import unlabelled
from models.training.checkpoint import load


def leaderboard(benchmark_dir: Path) -> pd.DataFrame:
    """A row a run: model, run, task, fold, split, parameters, gmacs, throughput, device, scores with the
    95 % interval of F1, F1 within the AOI, and for segmentation that of the change between its masks. A run
    that is `external` (`minebench score`) has neither size nor speed; `predicted` is its share of the maps.
    Ordered by task, then by F1; empty where the benchmark has no labels. NotMadeYet where nothing was
    evaluated."""
    names = runs.scored(benchmark_dir)
    if not names and unlabelled.is_unlabelled(Path(benchmark_dir)):
        return pd.DataFrame(columns=["model", "run", "task", "fold", "split", "f1"])
    if not names:
        raise NotMadeYet(f"{benchmark_dir} has no evaluated model: run `minebench evaluate` first.")
    runs.demand_fresh(Path(benchmark_dir), names)
    table = pd.DataFrame([_row(Path(benchmark_dir) / "runs" / name) for name in names])
    table = table.astype({"parameters": "Int64", "seed": "Int64"})
    return table.sort_values(["task", "f1", "run"], ascending=[True, False, True], ignore_index=True)


def _row(folder: Path) -> dict[str, Any]:
    metrics = run_files.metrics_of(folder)
    timing = run_files.timing_of(folder)
    external = metrics.get(runs.EXTERNAL)
    size, saved = (None, None) if external else _model(folder)
    low, high = metrics["f1_interval"]
    rates = [timing[name] for name in timing if name.endswith("_per_second")]
    return {
        "model": metrics["model"],
        "run": folder.name,
        "task": metrics["task"],
        "fold": metrics["fold"],
        "split": metrics["split"],
        "parameters": size.parameters if size else None,
        "gmacs": round(size.gmacs, 3) if size else math.nan,
        "items_per_second": _number(rates[0]),
        "device": timing["device"],
        "threshold": metrics["threshold"],
        "counted": metrics.get("count", "ground"),
        **{name: _number(metrics.get(name)) for name in MEASURED},
        "f1_low": _number(low),
        "f1_high": _number(high),
        "aoi_f1": _number(metrics["aoi"]["f1"]),
        "change_f1": _number((metrics.get("post_classification") or {}).get("f1")),
        "seed": saved["settings"]["seed"] if saved else None,
        "torch": saved["torch"] if saved else None,
        "external": bool(external),
        "predicted": external["predicted"] / external["asked"] if external else 1.0,
    }


def _model(folder: Path) -> tuple[sizes.Size, dict[str, Any]]:
    """A run's size, and what its model.pt says."""
    network, saved = load(folder / "model.pt")
    # What is smoothed is a footprint model, whatever comes of it.
    task = "segmentation" if "smoothing" in saved else saved["task"]
    return sizes.measure(network, task, max(network.smallest, 256)), saved


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def tests(benchmark_dir: Path, table: pd.DataFrame) -> pd.DataFrame:
    """first, second, task, fold, sites, difference (of pooled F1), p: every two runs of a task over the
    same sites; see `models.evaluation.bootstrap.paired`."""
    rows: list[dict[str, Any]] = []
    for (task, fold, split), own in table.groupby(["task", "fold", "split"], sort=True):
        counts = {run: _by_site(Path(benchmark_dir) / "runs" / run / "counts.parquet") for run in own.run}
        for first, second in combinations(own.run, 2):
            a, b = counts[first].align(counts[second], join="inner", axis=0)
            one, other = (each[COUNTS].to_numpy(np.int64) for each in (a, b))
            difference = bootstrap.f1_of(one.sum(axis=0)) - bootstrap.f1_of(other.sum(axis=0))
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "task": task,
                    "fold": fold,
                    "split": split,
                    "sites": len(one),
                    "difference": float(difference),
                    "p": bootstrap.paired(one, other),
                }
            )
    columns = ["first", "second", "task", "fold", "split", "sites", "difference", "p"]
    return pd.DataFrame(rows, columns=columns)


def _by_site(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).groupby("site_id")[COUNTS].sum()


def weights_of(folder: Path) -> dict[str, Any]:
    """What model.pt of a run says beside its weights."""
    saved = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    return {name: value for name, value in saved.items() if name != "weights"}
