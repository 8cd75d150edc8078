"""From which probability on a run's change counts: the threshold of highest F1 on the validation sites.

Where a run was applied to no validation site, it is the one that `evaluate` scored it with. All are
recorded in index/activity/thresholds.parquet with the precision and recall that they have there.
"""

import math
from typing import TYPE_CHECKING

import pandas as pd

from minebench import receipts, tables
from minebench.cube import store
from minebench.cube.labels import Labels
from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from minebench.progress import progress
from pipeline.activity import change_maps

if TYPE_CHECKING:
    from minebench.metrics.histogram import Histogram

COLUMNS = {
    "source": "str", "threshold": "float64", "chosen_on": "str", "sites": "int64", "f1": "float64",
    "precision": "float64", "recall": "float64", "average_precision": "float64",
}  # fmt: skip
GIVEN = "--threshold"
"""In `chosen_on`, where nothing was chosen."""
CURVE = {"source": "str", "threshold": "float64", "precision": "float64", "recall": "float64"}


def choose(benchmark: BenchmarkPaths, given: float | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a run, and the runs' precision-recall curves on the validation sites. A threshold that is given
    holds for all runs; InputError where it is no probability."""
    if given is not None and not 0 < given < 1:
        raise InputError(f"--threshold is {given:g}: give a probability between 0 and 1.")
    tiles = tables.read(benchmark.table("tiles"), "tile", ["site_id", "split"])
    splits = tiles.groupby("site_id").split.agg(set)
    validation = [str(site_id) for site_id, own in splits.items() if own == {"val"}]
    rows, curves = [], []
    runs = change_maps.runs_of(benchmark)
    with progress("thresholds", len(runs), "runs") as advance:
        for run in runs:
            found, counted = _counted(benchmark, run, validation)
            rows.append(
                _row(benchmark, run, found, counted) if given is None else _at(run, given, found, counted)
            )
            curves += [{"source": run, **point} for point in found.curve()] if counted else []
            advance()
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame, pd.DataFrame(curves, columns=list(CURVE)).astype(CURVE)


def _counted(benchmark: BenchmarkPaths, run: str, site_ids: list[str]) -> tuple["Histogram", int]:
    """The run's probabilities on some sites by truth, and on how many of them there is change to find."""
    # Here and not above: where no run was applied to sites nothing of this is needed.
    import torch

    from minebench.metrics.histogram import Histogram

    found, counted = Histogram(), 0
    for site_id in site_ids:
        if not store.periods_of(benchmark.cube(site_id)):
            continue
        labels = Labels.read(benchmark.cube(site_id))
        pairs = change_maps.pairs_of(labels)
        maps = change_maps.of_run(benchmark.predictions / run / site_id, run, pairs, 0.5) if pairs else None
        truth = change_maps.of_labels(labels, pairs) if maps is not None else None
        if maps is None or truth is None or not truth.changed.any():
            continue
        true = truth.change.astype("uint8")
        true[~(truth.known & maps.known)] = UNKNOWN
        found.add(torch.from_numpy(maps.change), torch.from_numpy(true))
        counted += 1
    return found, counted


def _row(benchmark: BenchmarkPaths, run: str, found: "Histogram", counted: int) -> tuple[object, ...]:
    if not counted:
        return run, *of_evaluation(benchmark, run), 0, *(float("nan"),) * 4
    from minebench.metrics.confusion import scores

    threshold, confusion = found.best()
    own = scores(confusion)
    # 0 would take in all that is known.
    least = max(threshold, float(found.thresholds[1]))
    measures = (own["f1"], own["precision"], own["recall"], found.average_precision())
    return run, least, "validation", counted, *measures


def _at(run: str, given: float, found: "Histogram", counted: int) -> tuple[object, ...]:
    """The row of a run whose threshold was given."""
    if not counted:
        return run, given, GIVEN, 0, *(float("nan"),) * 4
    from minebench.metrics.confusion import scores
    from minebench.metrics.histogram import BINS

    own = scores(found.at(math.ceil(given * BINS)))
    measures = (own["f1"], own["precision"], own["recall"], found.average_precision())
    return run, given, GIVEN, counted, *measures


def of_evaluation(benchmark: BenchmarkPaths, run: str) -> tuple[float, str]:
    """The threshold that a run's scores are of; one half where it was not evaluated."""
    path = benchmark.run(run) / "metrics.json"
    if not path.is_file():
        # A run from elsewhere brings its threshold along (`pipeline.cli.region`).
        path = path.with_name("run.json")
    told = receipts.read(path).get("threshold")
    return (0.5, "nothing") if told is None else (float(told), "evaluate")
