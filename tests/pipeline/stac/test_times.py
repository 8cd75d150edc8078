"""When an image was taken, for each way its date is known."""

from datetime import date

import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from minebench import periods
from pipeline import recipe
from pipeline.geo.grid import geobox
from pipeline.sites.site import Site
from pipeline.stac import times
from tests.conftest import RECIPE

YEAR = periods.parse("2020")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> recipe.Recipe:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE)
    return recipe.load(path)


def site(latitude: float) -> Site:
    area = shapely.box(20, latitude, 20.1, latitude + 0.1)
    epsg = 32634 if latitude > 0 else 32734
    return Site("s", "s", "AAA", None, 1, 1, epsg, geobox(epsg, 5e5, 5e6, 10, 10, 10), 100, area, None)


def scenes(*days: str, dated_by: str = "acquisition") -> pd.DataFrame:
    stamps = pd.to_datetime([f"{day}T10:30:05.7Z" for day in days])
    return pd.DataFrame({"datetime": stamps, "day": list(days), "dated_by": dated_by})


def test_one_day_is_a_time_and_several_are_a_span(tiny: recipe.Recipe) -> None:
    one = times.of_image(site(50), YEAR, tiny, scenes("2020-07-01", "2020-07-01"))
    assert str(one.at) == "2020-07-01 10:30:05+00:00"
    many = times.of_image(site(50), YEAR, tiny, scenes("2020-07-01", "2020-08-02"))
    assert many.at is None
    assert (many.first.date(), many.last.date()) == (date(2020, 7, 1), date(2020, 8, 2))


@pytest.mark.parametrize("dated_by", ["release", "published range", "file name, year only"])
def test_what_is_no_day_of_acquisition_spans_the_period(tiny: recipe.Recipe, dated_by: str) -> None:
    found = times.of_image(site(50), YEAR, tiny, scenes("2020-01-01", dated_by=dated_by))
    assert found.at is None
    assert (str(found.first), str(found.last)) == ("2020-01-01 00:00:00+00:00", "2020-12-31 23:59:59+00:00")


def test_in_the_south_the_season_lies_in_its_period(tiny: recipe.Recipe) -> None:
    first, last = times.interval(site(-30), YEAR, tiny)
    assert (first.date(), last.date()) == (date(2019, 3, 1), date(2020, 2, 29))
    opening, end = site(-30).search_window(YEAR, tiny)
    assert first.date() <= opening < end
    assert end <= date(2020, 3, 1)


@given(st.integers(1950, 2090), st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_every_season_lies_in_its_period_and_periods_follow_on_one_another(
    year: int, season: tuple[int, int]
) -> None:
    this, following = periods.parse(str(year)), periods.parse(str(year + 1))
    (start, end), (opening, closing) = this.span(season), this.search_window(season)
    assert start <= opening < closing <= end
    assert end == following.span(season)[0]
