"""The table `annotators`: how well those agree who labelled the same dates (`minebench agree`)."""

import pandas as pd

from minebench import tables
from minebench.layout import BenchmarkPaths
from minebench.text import counted

TABLE = "annotators"
ROW = {"site_id": "str", "subject": "str", "one": "str", "other": "str", "iou": "float64", "kappa": "float64",
       "boundary": "float64", "pixels_one": "int64", "pixels_other": "int64"}  # fmt: skip
"""Columns of `annotators`. `subject` is a period, or a pair of them with a bar between. `iou` and `kappa`
(Cohen's) of the two masks; `boundary` is the mean distance, pixels, from one's outline to the nearest of the
other's, both ways. NaN where it is undefined: nothing outlined by either, for `boundary` by one of them."""


def read(benchmark: BenchmarkPaths) -> pd.DataFrame | None:
    """The table; None where annotators were not compared."""
    path = benchmark.table(TABLE)
    return tables.read(path, "agree") if path.is_file() else None


def sentences(benchmark: BenchmarkPaths) -> list[str]:
    """How annotators agree, in sentences; none where they were not compared."""
    table = read(benchmark)
    return [] if table is None else told(table)


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """By two annotators the dates they have in common, and the medians of how they agree."""
    by = table.groupby(["one", "other"])
    return by.agg(
        dates=("subject", "size"),
        iou=("iou", "median"),
        kappa=("kappa", "median"),
        boundary=("boundary", "median"),
    ).reset_index()


def told(table: pd.DataFrame) -> list[str]:
    """The same as sentences."""
    return [
        f"{row.one} and {row.other} on {counted(row.dates, 'date')}: IoU {_said(row.iou, 3)}, "
        f"kappa {_said(row.kappa, 3)}, outlines {_said(row.boundary, 1)} pixels apart (medians)"
        for row in tables.each(medians(table))
    ]


def _said(value: float, digits: int) -> str:
    return "undefined" if value != value else f"{value:.{digits}f}"
