from datetime import date
from itertools import pairwise

import pytest

from minebench import periods


def test_units() -> None:
    assert [p.label for p in periods.every("year", "2019", "2021")] == ["2019", "2020", "2021"]
    assert [p.label for p in periods.every("month", "2019-11", "2020-02")] == [
        "2019-11", "2019-12", "2020-01", "2020-02",
    ]  # fmt: skip
    pairs = periods.every("two_months", "2019-01", "2019-12")
    assert len(pairs) == 6
    assert pairs[0].end == date(2019, 3, 1)
    assert len(periods.every("day", "2020-02-28", "2020-03-01")) == 3


def test_periods_touch_and_do_not_overlap() -> None:
    found = periods.every("month", "2016-01", "2020-12")
    assert len(found) == 60
    assert all(a.end == b.start for a, b in pairwise(found))


def test_season_over_new_year_belongs_to_the_year_it_ends_in() -> None:
    period = periods.parse("2020")
    assert period.search_window((12, 2)) == (date(2019, 12, 1), date(2020, 3, 1))
    assert period.search_window((6, 8)) == (date(2020, 6, 1), date(2020, 9, 1))
    assert period.search_window(None) == (date(2020, 1, 1), date(2021, 1, 1))
    # A month is searched whole whatever the season.
    assert periods.parse("2020-03").search_window((6, 8)) == (date(2020, 3, 1), date(2020, 4, 1))


def test_interval_in_the_periods_own_unit() -> None:
    assert periods.interval("2015", "2024") == 9
    assert periods.interval("2015-11", "2016-02") == 3
    assert periods.interval("2020-02-28", "2020-03-01") == 2


@pytest.mark.parametrize("label", ["20", "2020-13", "2020-1", "2020-02-30", "abc"])
def test_not_a_date(label: str) -> None:
    with pytest.raises(ValueError, match="is not a date"):
        periods.parse(label)


def test_listed_dates_must_not_overlap() -> None:
    assert [p.label for p in periods.listed(["2020", "2009"])] == ["2009", "2020"]
    with pytest.raises(ValueError, match="overlap or repeat"):
        periods.listed(["2020", "2020-05"])


def test_spans_have_names_and_may_overlap() -> None:
    spans = {
        "after": (date(2018, 1, 1), date(2023, 12, 31)),
        "before": (date(2009, 1, 1), date(2018, 12, 31)),
    }
    found = periods.spans(spans)
    assert [period.label for period in found] == ["before", "after"]
    assert found[0].search_window((6, 8)) == (date(2009, 1, 1), date(2019, 1, 1))
    assert periods.interval("before", "after") == 1
