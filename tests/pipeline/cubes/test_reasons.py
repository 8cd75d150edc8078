"""Why a period has no image, in the table of composites."""

import pandas as pd

from pipeline.cubes import compose
from pipeline.scenes.status import Status


def test_the_cause_is_named_where_no_scene_could_be_used() -> None:
    composites = pd.DataFrame(
        [("a", "2019", compose.NOT_CLEAR), ("a", "2020", compose.NOT_CLEAR), ("a", "2021", compose.NOT_CLEAR),
         ("b", "2019", ""), ("b", "2020", compose.NOT_CLEAR)],
        columns=["site_id", "period", "reason"], index=[3, 1, 4, 0, 2],
    )  # fmt: skip
    away = "not used: the address of B02 leads out of the catalog's folder"
    scenes = pd.DataFrame(
        [("a", "2019", Status.FLAWED, away), ("a", "2019", Status.FLAWED, away),
         ("a", "2020", Status.FLAWED, away), ("a", "2020", Status.NOT_CLEAR, "cloudy"),
         ("a", "2021", Status.NONE_FOUND, "none"),
         ("b", "2019", Status.FLAWED, away), ("b", "2020", Status.NOT_READ, "not read: refused")],
        columns=["site_id", "period", "status", "reason"],
    )  # fmt: skip
    found = compose._explained(composites, scenes).reason.tolist()
    assert found == [
        f"no scene can be used: {away.removeprefix('not used: ')}", compose.NOT_CLEAR, compose.NONE_FOUND, "",
        "no scene can be used: not read: refused",
    ]  # fmt: skip
