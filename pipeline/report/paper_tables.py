"""Scores in the form of the papers' tables: a row a model, a column a date or an interval, then the means.
Of footprints also the change between those of two dates, by interval (EuroMineNet's table 6).

As in EuroMineNet, F1 is that of each site, averaged over the sites with their known pixels as weights; its
columns OF1, GCA and LCA are the same mean over everything, and the temporal consistency of the masks.
"""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from minebench import periods
from minebench.layout import BenchmarkPaths
from models.evaluation.scores import mean_over_sites
from pipeline.report.pictures import Run

MOST = 12
"""Columns that fit a page: of more dates or intervals every second, third, ... is shown."""
Cell = tuple[str, str]


@dataclass(frozen=True)
class Table:
    """`rows` are models, each with its cells (text, mark); `mark` is best, second or nothing."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[Cell]]]
    left_out: int


def of(benchmark: BenchmarkPaths, runs: list[Run], unit: str) -> list[Table]:
    """Segmentation by date and change by interval, where some were scored; `unit` follows "interval"."""
    wanted = (
        ("segmentation", "Footprints by date", "t1", {"of1": "OF1", "gca": "GCA-TIoU", "lca": "LCA-TIoU"}),
        ("change", f"Change by interval{unit}", "interval", {"of1": "OF1"}),
    )
    found = []
    for task, title, column, means in wanted:
        own = [run for run in runs if run.metrics["task"] == task]
        if own:
            scores = {run.model: _by_column(benchmark, run.model, column) for run in own}
            found.append(_table(own, scores, title, means))
    return found + _between_footprints(benchmark, runs, unit)


def _between_footprints(benchmark: BenchmarkPaths, runs: list[Run], unit: str) -> list[Table]:
    """The change between the footprints of two dates by interval; none where no run has it."""
    scores: dict[str, dict[Any, float]] = {}
    for run in runs:
        path = benchmark.run(run.model) / "intervals.csv"
        if run.metrics["task"] == "segmentation" and path.is_file() and len(table := pd.read_csv(path)):
            scores[run.model] = dict(zip(table.interval, table.of1, strict=True))
    own = [
        replace(run, metrics=run.metrics.get("post_classification") or {})
        for run in runs
        if run.model in scores
    ]
    title = f"Change between footprints by interval{unit}"
    return [_table(own, scores, title, {"of1": "OF1"})] if own else []


def _table(runs: list[Run], scores: dict[str, dict[Any, float]], title: str, means: dict[str, str]) -> Table:
    columns = sorted({value for own in scores.values() for value in own})
    step = -(-len(columns) // MOST)
    shown = columns[::step] if step else []
    values = {
        run.model: [*(scores[run.model].get(value) for value in shown), *(run.metrics.get(m) for m in means)]
        for run in runs
    }
    order = sorted(values, key=lambda model: -(values[model][len(shown)] or 0))
    marked = [_marked([values[model][place] for model in order]) for place in range(len(shown) + len(means))]
    rows = [(model, [column[place] for column in marked]) for place, model in enumerate(order)]
    return Table(title, [*map(str, shown), *means.values()], rows, len(columns) - len(shown))


def _by_column(benchmark: BenchmarkPaths, model: str, column: str) -> dict[Any, float]:
    """F1 of each date or interval, the mean over sites by pixels."""
    counts = pd.read_parquet(benchmark.run(model) / "counts.parquet")
    if column == "interval":
        pairs = counts[["t1", "t2"]].drop_duplicates()
        intervals = {(t1, t2): periods.interval(t1, t2) for t1, t2 in pairs.itertuples(index=False)}
        counts["interval"] = [intervals[pair] for pair in zip(counts.t1, counts.t2, strict=True)]
    return {value: mean_over_sites(own, "f1", weighted=True) for value, own in counts.groupby(column)}


def _marked(values: list[float | None]) -> list[Cell]:
    """A column's cells; the best and the second best are marked, as they are printed, where some differ."""
    texts = ["–" if value is None or value != value else f"{value:.3f}" for value in values]
    known = sorted({text for text in texts if text != "–"}, reverse=True)
    marks = dict(zip(known[:2], ("best", "second"), strict=False)) if len(known) > 1 else {}
    return [(text, marks.get(text, "")) for text in texts]
