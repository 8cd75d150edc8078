"""Activity around the start of production, as the mine list gives it."""

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from pipeline import recipe
from pipeline.activity import case_studies
from pipeline.activity.case_studies import phase_of
from pipeline.publish import viewer_data
from pipeline.recipe import Recipe
from pipeline.report import drawings
from pipeline.sites.site import Site
from tests.conftest import RECIPE

YEARS = [str(year) for year in range(2015, 2025)]


def span(label: str) -> tuple[date, date]:
    year, _, month = label.partition("-")
    if not month:
        return date(int(year), 1, 1), date(int(year) + 1, 1, 1)
    return date(int(year), int(month), 1), date(int(year) + int(month) // 12, int(month) % 12 + 1, 1)


@pytest.mark.parametrize(
    ("t1", "t2", "phase"),
    [
        ("2016", "2017", None), ("2017", "2018", "before"), ("2018", "2019", "start"),
        ("2019", "2020", "start"),
        ("2020", "2021", "after"), ("2021", "2022", None), ("2018-11", "2018-12", "before"),
        ("2018-12", "2019-01", "start"), ("2019-12", "2020-01", "start"), ("2020-01", "2020-02", "after"),
        ("2016-12", "2017-01", None), ("2021-11", "2021-12", "after"), ("2021-12", "2022-01", None),
    ],
)  # fmt: skip
def test_an_interval_that_touches_the_year_is_of_the_start(t1: str, t2: str, phase: str | None) -> None:
    """Of a year nobody knows the day."""
    assert phase_of(span(t1), span(t2), 2019, 2) == phase


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE.replace('start: "2021", end: "2023"', 'start: "2015", end: "2024"'))
    return recipe.load(path)


SITE = Site("a", None, None, None, 1.0, 1, 0, None, 100.0, None, None)  # type: ignore[arg-type]


def intervals(site_id: str, source: str = "labels") -> pd.DataFrame:
    return pd.DataFrame({
        "site_id": site_id, "source": source, "t1": YEARS[:-1], "t2": YEARS[1:], "months": 12.0, "known": 1.0,
        "changed_m2": [float(100 * i) for i in range(9)], "ndtci": [i / 10 for i in range(9)],
    })  # fmt: skip


def test_each_site_has_its_own_window_and_the_unknown_is_unknown(loaded: Recipe) -> None:
    sites = [replace(SITE, site_id=name, production_start=start)
             for name, start in (("a", 2019), ("b", 2017), ("c", None), ("d", 1980))]  # fmt: skip
    rows = pd.concat([intervals(site.site_id) for site in sites])
    table = case_studies.table(rows, sites, loaded, 2)
    assert table.years.eq(2).all()
    own = table[table.site_id == "a"].set_index("phase")
    assert own.t1.to_dict() == {"before": "2017", "start": "2018", "after": "2020"}
    assert own.changed_m2.to_dict() == {"before": 200, "start": 300 + 400, "after": 500}
    assert own.ndtci.to_dict() == pytest.approx({"before": 0.2, "start": 0.35, "after": 0.5})
    assert own.intervals.to_dict() == {"before": 1, "start": 2, "after": 1}
    assert table[table.site_id == "b"].t1.tolist() == ["2015", "2016", "2018"]
    others = table[table.site_id.isin(["c", "d"])]
    assert others.phase.tolist() == ["unknown", "no images"]
    assert others.production_start.isna().tolist() == [True, False]
    assert others.changed_m2.isna().all()
    assert (others.source == "").all()
    assert set(case_studies.table(rows, sites[:1], loaded, 4).intervals) == {3, 2}


def test_what_was_not_seen_has_no_area(loaded: Recipe) -> None:
    rows = intervals("a").assign(known=0.0)
    table = case_studies.table(rows, [replace(SITE, production_start=2019)], loaded, 2)
    assert table.changed_m2.isna().all()
    assert len(table) == 3


def test_the_start_is_a_line_in_the_chart(loaded: Recipe) -> None:
    days = [date(2018, 7, 1), date(2019, 7, 1), date(2020, 7, 1)]
    assert drawings.date_place(date(2019, 1, 1), days) == pytest.approx(184 / 365)
    assert drawings.date_place(date(2018, 1, 1), days) == -1
    assert drawings.date_place(date(2021, 1, 1), days) == 3
    periods = loaded.periods.periods()
    shown, before = (drawings.case_study(intervals("a"), periods, year, 2, "Pit") for year in (2019, 2014))
    line = drawings.SPLIT_COLOURS["test"].lower()
    assert "start of production in 2019" in shown
    assert line in shown
    assert line not in before  # it is outside of the chart


def test_the_viewer_is_told_the_start_where_it_is_known() -> None:
    """And files of sites without one are as they were."""
    assert viewer_data._started(replace(SITE, production_start=2019)) == {"production_start": 2019}
    assert viewer_data._started(SITE) == {}
