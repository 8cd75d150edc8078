"""What becomes of the candidates of a period."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from pipeline.recipe import Selection
from pipeline.scenes import selection
from pipeline.scenes.selection import Candidate
from pipeline.scenes.status import Status, fate
from pipeline.sources.protocol import Scene

AOI = np.ones((4, 5), bool)
RULE = Selection(policy="composite", min_clear=0.5)


def candidate(name: str, clear: float, level: str = "L2A", day: int = 1) -> Candidate:
    scene = Scene(name, datetime(2017, 7, day, tzinfo=UTC), {}, "made up", level)
    pixels = (np.arange(20) < 20 * clear).reshape(4, 5)
    return Candidate(scene, date(2017, 7, day), clear=clear, clear_pixels=pixels)


def statuses(candidates: list[Candidate]) -> list[str]:
    return [str(c.fate.status) if c.fate else "open" for c in candidates]


def test_a_lower_level_is_taken_where_nothing_else_is_clear_enough() -> None:
    found = [candidate("cloudy", 0.4), candidate("lower", 0.9, "L1C", 2), candidate("dull", 0.1, "L1C", 3)]
    selection.choose(found, AOI, RULE)
    assert statuses(found) == ["not_clear", "chosen", "not_clear"]


def test_levels_do_not_mix_in_an_image_nor_in_a_day() -> None:
    found = [candidate("clear enough", 0.5), candidate("clearer", 1, "L1C"), candidate("other", 1, "L1C", 2)]
    selection.choose(found, AOI, RULE)
    assert statuses(found) == ["chosen", "other_level", "other_level"]
    # Each level has its own days: the clear granule of the other one did not help.
    assert found[0].day_clear == 0.5


def test_products_of_one_level_mix() -> None:
    """Landsat's L2SR has the same reflectance as L2SP, and no surface temperature."""
    scenes = [candidate("with temperature", 0.9, "L2SP"), candidate("without", 0.8, "L2SR", 2)]
    selection.choose(scenes, AOI, RULE)
    assert statuses(scenes) == ["chosen", "chosen"]


def test_a_chosen_scene_that_turns_out_flawed_gives_way_to_a_lower_level() -> None:
    found = [candidate("flawed", 0.8), candidate("lower", 0.9, "L1C", 2)]
    selection.choose(found, AOI, RULE)
    found[0].fate = fate(Status.FLAWED, why="it is empty")
    assert selection.reopen(found, [found[0]])
    selection.choose(found, AOI, RULE)
    assert statuses(found) == ["flawed", "chosen"]


def test_of_equally_clear_days_the_earliest_or_the_one_in_the_middle() -> None:
    """Of a window of 30 days, the 15th or 16th; a per cent of clear pixels is no difference."""
    window = date(2017, 7, 1), date(2017, 7, 31)
    for kind, day in (("earliest", 2), ("middle", 14)):
        rule = Selection(policy="least_cloudy", min_clear=0.5, equally_clear=kind)
        found = [candidate(str(day), 1, day=day) for day in (2, 14, 20)]
        found.append(candidate("less", 0.8, day=16))
        selection.choose(found, AOI, rule, window)
        assert [c.day.day for c in found if c.selected] == [day]
        assert found[3].fate is not None
        assert ("earlier" if kind == "earliest" else "nearer to the middle") in found[3].fate.reason


def test_the_same_scene_in_two_periods_is_two_candidates() -> None:
    one, other = candidate("same", 0.9), candidate("same", 0.9)
    assert one not in [other]
    assert one in [other, one]


@pytest.mark.parametrize(
    ("baseline", "offset_from", "is_known"),
    [
        ("05.11", "metadata, pixels agree (s2:processing_baseline 05.11; 60 of 64 cells on 3 dates)", True),
        ("05.11", "undecided: s2:processing_baseline 05.11; pixels: (nothing)", False),
        # Of tables of earlier versions.
        ("05.11", "metadata, pixels agree", False),
        ("n/a", "metadata, pixels agree", False),
        ("", "", False),
        ("02.14", "metadata, pixels agree", True),
    ],
)
def test_what_earlier_versions_decided_is_no_measure_for_other_scenes(
    baseline: str, offset_from: str, is_known: bool
) -> None:
    scene = Scene("s", datetime(2023, 7, 1, tzinfo=UTC), {}, "made up", baseline=baseline)
    assert Candidate(scene, date(2023, 7, 1), offset_from=offset_from).offset_is_known == is_known
