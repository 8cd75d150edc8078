"""What a period lacks, by its candidates and by its rows of the table of scenes."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipe import Recipe
from pipeline.scenes import gaps, selection
from pipeline.scenes.selection import Candidate
from pipeline.scenes.status import Status, fate
from pipeline.sources.protocol import Scene
from tests.conftest import RECIPE

AOI = np.ones((4, 5), bool)


def recipe(**rule: Any) -> Recipe:
    content = yaml.safe_load(RECIPE)
    return Recipe.model_validate(
        {**content, "selection": {"min_clear": 0.3, "min_period_clear": 0.9, **rule}}
    )


def candidate(day: int, first: int, last: int, level: str = "L2A", status: Status | None = None) -> Candidate:
    """A scene that is clear in pixels `first` to before `last` of twenty."""
    clear = np.zeros(20, bool)
    clear[first:last] = True
    scene = Scene(f"{day}", datetime(2020, 7, day, tzinfo=UTC), {}, "stac", level)
    why = None if status is None else fate(status, why="it is")
    return Candidate(scene, date(2020, 7, day), fate=why, clear_pixels=clear.reshape(4, 5))


def gap_of(candidates: list[Candidate], **rule: Any) -> gaps.Gap:
    loaded = recipe(**rule)
    selection.choose(candidates, AOI, loaded.selection)
    return gaps.of_candidates(candidates, AOI, loaded)


@pytest.mark.parametrize(
    ("candidates", "lacks_image"),
    [
        ([], True),
        ([candidate(1, 0, 19)], False),
        ([candidate(1, 0, 12)], True),
        ([candidate(1, 0, 12), candidate(2, 8, 20)], False),
        ([candidate(1, 0, 5)], True),
        ([candidate(1, 0, 20, "L1C")], True),
        ([candidate(1, 0, 20, "")], False),
        ([candidate(1, 0, 19), candidate(2, 0, 0, status=Status.NOT_READ)], False),
    ],
)
def test_a_period_lacks_an_image(candidates: list[Candidate], lacks_image: bool) -> None:
    gap = gap_of(candidates)
    assert gap.lacks_image == lacks_image
    assert bool(gap) == lacks_image


@pytest.mark.parametrize("status", [Status.FLAWED, Status.UNDECIDED])
def test_a_period_with_an_image_lacks_the_days_of_scenes_that_cannot_be_used(status: Status) -> None:
    gap = gap_of([candidate(1, 0, 20), candidate(2, 0, 0, status=status)])
    assert [gap.takes(date(2020, 7, day)) for day in (1, 2, 3)] == [False, True, False]


def test_a_day_that_a_later_source_gave_is_not_lacking_any_more() -> None:
    lost, given = candidate(1, 0, 0, status=Status.FLAWED), candidate(1, 0, 20)
    given.scene = replace(given.scene, source="stac-2")
    assert gap_of([lost]).takes(date(2020, 7, 1))
    assert not gap_of([lost, given])
    # A granule of that day which the second source cannot give either is asked of the third.
    other = candidate(1, 0, 0, status=Status.FLAWED)
    other.scene = replace(other.scene, source="stac-2")
    assert gap_of([lost, given, other]).takes(date(2020, 7, 1))


def test_a_period_without_an_image_takes_all_days_but_those_it_has() -> None:
    gap = gap_of([candidate(1, 0, 5), candidate(2, 0, 0, status=Status.EXCLUDED)])
    assert [gap.takes(date(2020, 7, day)) for day in (1, 2, 3)] == [False, False, True]


@given(
    st.lists(st.tuples(st.integers(1, 28), st.integers(0, 20), st.integers(0, 20)), unique_by=lambda d: d[0])
)
def test_rows_never_say_less_is_lacking_than_pixels_do(days: list[tuple[int, int, int]]) -> None:
    candidates = [candidate(*day) for day in days]
    loaded = recipe()
    lacks = bool(gap_of(candidates))
    rows = [
        {"selected": c.selected, "status": c.fate.status, "day_clear": c.day_clear, "level": c.scene.level}
        for c in candidates
        if c.fate
    ]
    assert gaps.in_rows(rows, loaded) or not lacks
