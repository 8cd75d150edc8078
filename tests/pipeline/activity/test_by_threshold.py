"""Change from one probability on or another, against the labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from minebench import tables
from pipeline.activity import by_threshold
from pipeline.activity.change_maps import TRUTH, ChangeMaps

PAIRS = [("2019", "2020"), ("2020", "2021"), ("2021", "2022"), ("2022", "2023")]
AOI = np.array([[True, True, True, False]])
TRUE = np.array([[[1, 0, 0, 1]], [[1, 1, 0, 0]], [[1, 1, 1, 0]], [[0, 0, 0, 0]]], np.float32)
KNOWN = np.ones(TRUE.shape, bool)


def maps(source: str, change: np.ndarray, known: np.ndarray = KNOWN) -> ChangeMaps:
    return ChangeMaps(source, PAIRS, change.astype(np.float32), known, 0.5)


def agreed(folder: Path, found: list[ChangeMaps], sources: tuple[str, ...] = ("x",)) -> pd.DataFrame:
    path = folder / "at.parquet"
    with tables.writing(path, by_threshold.AT, {}) as rows:
        rows.add(by_threshold.of_site("s", found, AOI, 100.0))
    return by_threshold.agreement(path, sources).set_index(["source", "threshold"])


def test_a_run_agrees_below_its_probability_and_not_above(tmp_path: Path) -> None:
    table = agreed(tmp_path, [maps(TRUTH, TRUE), maps("x", 0.1 + 0.5 * TRUE)])
    assert list(table.loc["x"].index) == list(by_threshold.THRESHOLDS)
    for threshold in (0.2, 0.6):  # 0.6 itself counts
        row = table.loc["x", threshold]
        assert (row.intervals, row.changed_m2, row.labels_m2, row.rmse_m2) == (4, 600, 600, 0)
        assert (row.f1, row.pearson_area, row.p_area) == pytest.approx((1, 1, 0), abs=1e-6)
    lowest = table.loc["x", 0.1]  # everything changed: its area does not vary, so there is no correlation
    assert (lowest.changed_m2, lowest.precision, lowest.recall) == (1200, 0.5, 1)
    assert np.isnan(lowest.pearson_area)
    assert np.isnan(lowest.p_area)
    assert (table.loc["x", 0.7].changed_m2, table.loc["x", 0.7].recall) == (0, 0)


def test_what_is_unknown_is_no_agreement(tmp_path: Path) -> None:
    """An interval without labels is not one without change."""
    known = KNOWN.copy()
    known[3] = False
    found = [maps(TRUTH, TRUE, known), maps("x", TRUE), maps("y", TRUE)]
    table = agreed(tmp_path, found, ("x", "y", "median"))
    assert set(table.intervals) == {3}
    assert table.loc["median", 0.5].f1 == 1
    at = pd.read_parquet(tmp_path / "at.parquet")
    assert at[at.t1 == "2022"].labels_m2.isna().all()
    assert at[at.t1 == "2022"].changed_m2.eq(0).all()
    assert agreed(tmp_path, [maps("x", TRUE)]).empty
