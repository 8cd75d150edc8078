"""Scores of the benchmark `romania`, of real images: the mean over seeds and their range.

    make real              # builds it, and ends with this
    python bench/real.py

Change is scored on all pairs of years; of a footprint model it is where its maps of two years differ.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

RUNS = Path("build/real/data/romania/runs")
MODELS = ("cva", "ir-mad", "fc-siam-diff", "unet", "unet-hmm", "utae")


def scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a run that are printed."""
    run = str(metrics["model"])
    model = run.partition("@")[0] + ("-hmm" if run.endswith("-hmm") else "")
    is_footprint = metrics["task"] == "segmentation"
    change = metrics["post_classification"] if is_footprint else metrics
    footprint = metrics["f1"] if is_footprint else None
    names = ("precision", "recall", "f1", "iou")
    return {"model": model, **{name: change[name] for name in names}, "footprint": footprint}


def spread(values: pd.Series) -> str:
    """Return a mean, and where there are several values their range."""
    if values.isna().any():
        return "-"
    if len(values) == 1:
        return f"{values.iloc[0]:.3f}"
    return f"{values.mean():.3f} ({values.min():.3f}-{values.max():.3f})"


def main() -> None:
    """Print a row per model."""
    table = pd.DataFrame([scores(json.loads(p.read_text())) for p in sorted(RUNS.glob("*/metrics.json"))])
    print(f"{'':14}{'runs':>5}" + "".join(f"{name:>22}" for name in table.columns[1:]))
    for model in MODELS:
        runs = table[table.model == model]
        print(f"{model:14}{len(runs):5}" + "".join(f"{spread(runs[name]):>22}" for name in table.columns[1:]))


if __name__ == "__main__":
    main()
