"""A benchmark without any label: there is nothing to train on or to score, and nothing wrong with it either.

DVC wants every output of a stage. For `dvc repro` (`--if-labelled`) `train` and `evaluate` leave files that say
why they are empty; whoever reads runs passes them over (`models.evaluation.runs`).
"""

from pathlib import Path

import pandas as pd

from pipeline.core.files import replacing, write_json

MARK = {"unlabelled": True}
TRAINED, SCORED = ("model.pt",), ("scores.csv", "sites.csv", "curve.csv", "counts.parquet", "examples.npz")
KNOWN = ["changed", "unchanged", "mine", "background"]


def is_unlabelled(benchmark_dir: Path) -> bool:
    """Whether no pixel of any mask or pair is known."""
    path = benchmark_dir / "index" / "statistics" / "balance.parquet"
    return path.is_file() and not pd.read_parquet(path, columns=KNOWN).to_numpy().any()


def leave_run(run: Path) -> None:
    """What `train` leaves."""
    write_json(MARK, run / "run.json")
    (run / "live" / "plots" / "metrics").mkdir(parents=True, exist_ok=True)
    _empty(run, TRAINED)


def leave_scores(run: Path) -> None:
    """What `evaluate` leaves."""
    for name in ("metrics.json", "timing.json"):
        write_json(MARK, run / name)
    _empty(run, SCORED)


def _empty(run: Path, names: tuple[str, ...]) -> None:
    for name in names:
        with replacing(run / name) as temporary:
            temporary.touch()
