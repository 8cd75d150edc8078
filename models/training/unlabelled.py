"""A benchmark without any label: there is nothing to train on or to score, and nothing wrong with it.

DVC wants every output of a stage. For `dvc repro` (`--if-labelled`) `train` and `evaluate` leave files that
say so; whoever reads runs passes them over (`models.evaluation.runs`).
"""

from pathlib import Path

import pandas as pd

from minebench.files import replacing, write_json

MARK, TEXT = {"unlabelled": True}, "no labels\n"
TRAINED = ("model.pt",)
SCORED = ("scores.csv", "intervals.csv", "sites.csv", "curve.csv", "counts.parquet", "examples.npz")
KNOWN = ["changed", "unchanged", "mine", "background"]


def is_unlabelled(benchmark_dir: Path) -> bool:
    """Whether no pixel of any mask or pair is known."""
    path = benchmark_dir / "index" / "statistics" / "balance.parquet"
    return path.is_file() and not pd.read_parquet(path, columns=KNOWN).to_numpy().any()


def leave_run(run: Path) -> None:
    """What `train` leaves."""
    write_json(MARK, run / "run.json")
    (run / "live" / "plots" / "metrics").mkdir(parents=True, exist_ok=True)
    _say_so(run, TRAINED)


def leave_scores(run: Path) -> None:
    """What `evaluate` leaves."""
    for name in ("metrics.json", "timing.json"):
        write_json(MARK, run / name)
    _say_so(run, SCORED)


def is_mark(path: Path) -> bool:
    """Whether a file only says that there were no labels."""
    return path.stat().st_size == len(TEXT) and path.read_text() == TEXT


def _say_so(run: Path, names: tuple[str, ...]) -> None:
    for name in names:
        with replacing(run / name) as temporary:
            temporary.write_text(TEXT)
