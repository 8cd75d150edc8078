"""Scores by season, cloud and sun of what they are scores of."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from pipeline.leaderboard import conditions

SITES = gpd.GeoDataFrame(
    {"site_id": ["n", "s", "flat"], "epsg": [32633, 32719, 0]},
    geometry=[shapely.Point(15, 51.5).buffer(0.01), shapely.Point(-69, -24).buffer(0.01), None], crs=4326,
)  # fmt: skip


def scenes(rows: list[tuple[str, str, str, float]], dated_by: str = "acquisition") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["site_id", "period", "datetime", "day_clear"])
    when = pd.to_datetime(table.datetime, utc=True, format="ISO8601")
    return table.assign(datetime=when, selected=True, dated_by=dated_by)


@pytest.mark.parametrize(
    ("when", "lon", "lat", "expected"),
    [  # NOAA's solar calculator
        ("2020-06-20T12:00", 0, 51.5, 61.9), ("2020-12-21T12:00", 0, 51.5, 15.0),
        ("2021-03-20T12:07", 0, 0, 89.9), ("2020-06-20T00:00", 0, 51.5, -15.0),
    ],
)  # fmt: skip
def test_the_suns_elevation(when: str, lon: float, lat: float, expected: float) -> None:
    found = conditions.elevation(
        pd.Series(pd.to_datetime([when], utc=True)), np.array([lon]), np.array([lat])
    )
    assert found[0] == pytest.approx(expected, abs=0.6)


def test_seasons_are_of_the_hemisphere_and_the_unknown_is_unknown() -> None:
    taken = conditions.images(
        scenes([("n", "2020", "2020-07-01T10:00", 1.0), ("s", "2020", "2020-07-01T14:30", 0.8),
                ("flat", "2020", "2020-07-01", np.nan)]), SITES,
    )  # fmt: skip
    assert taken.season["n", "2020"] == "summer"
    assert taken.season["s", "2020"] == "winter"
    counts = pd.DataFrame({"site_id": ["n", "s", "flat", "gone"], "t1": "2020", "t2": "2020"})
    groups = conditions.grouped(counts, taken)
    assert groups["season"].tolist() == ["summer", "winter", "unknown", "unknown"]
    assert groups["cloud"].tolist() == ["up to 1 %", "above 10 %", "unknown", "unknown"]
    assert groups["sun"].tolist() == ["above 50°", "30 to 50°", "unknown", "unknown"]
    # A date that is not of the acquisition says nothing.
    taken = conditions.images(scenes([("n", "2020", "2020-07-01T10:00", 1.0)], dated_by="release"), SITES)
    assert conditions.grouped(counts[:1], taken)["season"].tolist() == ["unknown"]


def test_a_pair_has_its_worse_date_and_years_are_round() -> None:
    taken = conditions.images(
        scenes([("n", "1", "2020-12-31T10:00", 0.95), ("n", "2", "2022-01-01T10:00", 1.0),
                ("n", "3", "2022-07-01T10:00", 0.5)]), SITES,
    )  # fmt: skip
    counts = pd.DataFrame({
        "site_id": "n", "t1": ["1", "1", "2"], "t2": ["2", "3", "3"], "aoi": True,
        "tp": [10, 1, 0], "fp": 0, "fn": [0, 1, 5], "tn": 100,
    })  # fmt: skip
    groups = conditions.grouped(counts, taken)
    assert groups["days apart"].tolist() == ["up to 30", "92 or more", "92 or more"]
    assert groups["cloud"].tolist() == ["1 to 10 %", "above 10 %", "above 10 %"]
    assert groups["sun"].tolist() == ["up to 30°"] * 3
    table = conditions.table({"bit": {"task": "change"}}, lambda _: counts, taken)
    apart = table[table.condition == "days apart"].set_index("group")
    assert apart.f1.to_dict() == {"up to 30": 1.0, "92 or more": pytest.approx(2 / 8)}
    assert apart["items"].to_dict() == {"up to 30": 1, "92 or more": 2}
    assert table.groupby("condition")["items"].sum().tolist() == [3] * 3
    assert not {"tp", "fp", "fn", "tn"} & set(table)  # leaderboards of hidden splits are published
