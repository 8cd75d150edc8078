import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pipeline.activity import measures
from pipeline.activity.change_maps import ChangeMaps

PAIRS = [("2020", "2021"), ("2021", "2022"), ("2022", "2023")]


def measured(changed: np.ndarray, aoi: np.ndarray) -> pd.DataFrame:
    maps = ChangeMaps("x", PAIRS, changed.astype(np.float32), np.ones(changed.shape, bool), 0.5)
    found = measures.measure("site", maps, aoi, 100.0, [12.0] * 3, False)
    return pd.DataFrame(found.rows, columns=list(measures.INTERVALS))


@given(arrays(bool, (3, 5, 4)), arrays(bool, (5, 4)))
def test_areas_count_ground_once_and_within_the_aoi(changed: np.ndarray, aoi: np.ndarray) -> None:
    table = measured(changed, aoi)
    assert table.changed_m2.tolist() == [float((m & aoi).sum() * 100) for m in changed]
    assert table.cumulative_m2.iloc[-1] == (changed.any(axis=0) & aoi).sum() * 100
    assert table.cumulative_m2.is_monotonic_increasing
    assert table.new_m2.cumsum().tolist() == table.cumulative_m2.tolist()
    assert table.aoi_share.between(0, 1).all()


def test_sources_agree_as_far_as_they_do() -> None:
    areas = {"a": [100.0, 300.0, 200.0], "b": [200.0, 400.0, 300.0]}
    rows = [
        {"site_id": "s", "source": source, "t1": t1, "t2": t2, "changed_m2": area, "ndtci": area / 1000}
        for source, own in areas.items()
        for (t1, t2), area in zip(PAIRS, own, strict=True)
    ]
    (found,) = measures.agreement(pd.DataFrame(rows))
    row = dict(zip(measures.AGREEMENT, found, strict=True))
    assert (row["first"], row["second"], row["intervals"]) == ("a", "b", 3)
    assert row["pearson_area"] == pytest.approx(1)
    assert row["rmse_m2"] == pytest.approx(100)
    assert row["rmse_ndtci"] == pytest.approx(0.1)
    assert row["p_area"] == pytest.approx(0, abs=1e-6)
    assert np.isnan(row["rmse_ndtci_everywhere"])


def test_a_correlation_has_its_p() -> None:
    """Of r with n values: twice the tail of Student's t with n - 2 degrees of freedom."""
    first, second = (pd.Series(values) for values in ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]))
    r, p = measures.correlation(first, second)
    assert r == pytest.approx(0.8)
    assert p == pytest.approx(2 * stats.t.sf(r * np.sqrt(3 / (1 - r**2)), 3))


@pytest.mark.parametrize(("first", "second"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_no_correlation_where_there_is_nothing_to_correlate(first: list, second: list) -> None:
    assert np.isnan(measures.pearson(pd.Series(first), pd.Series(second)))


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=8, unique=True))
def test_correlation_is_numpys(values: list[float]) -> None:
    other = [value**3 + index for index, value in enumerate(values)]
    if np.ptp(values) < 1e-3 or np.ptp(other) < 1e-3:
        return
    assert measures.pearson(pd.Series(values), pd.Series(other)) == pytest.approx(
        np.corrcoef(values, other)[0, 1]
    )
