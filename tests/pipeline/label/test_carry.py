"""What changed between two dates is proposed; what only looks alike far away is asked about."""

import numpy as np
from numpy.typing import NDArray

from pipeline.label import carry, regions

NOISE = 30


def scene(mines: list[tuple[slice, slice]], seed: int) -> NDArray[np.uint16]:
    """A green field of 60 x 60 with bright mines."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((3, 60, 60))
    pixels[:] = np.array([600, 900, 3000])[:, None, None]
    for rows, columns in mines:
        pixels[:, rows, columns] = np.array([2500, 2600, 2800])[:, None, None]
    return (pixels + rng.normal(0, NOISE, pixels.shape)).astype(np.uint16)


def square(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros((60, 60), bool)
    mask[rows, columns] = True
    return mask


OLD = (slice(20, 35), slice(20, 40))


def found(known: NDArray[np.uint16], other: NDArray[np.uint16]) -> list[carry.Proposal]:
    return carry.proposals(known, square(*OLD), other, regions.build(np.concatenate([known, other])))


def test_growth_joins_and_a_field_far_away_is_asked_about() -> None:
    known = scene([OLD], 0)
    other = scene([OLD, (slice(20, 35), slice(40, 50)), (slice(48, 58), slice(2, 12))], 1)
    result, asked = carry.carried(square(*OLD), found(known, other))
    assert (result == square(slice(20, 35), slice(20, 50))).all()
    assert [(proposal.joins, proposal.touches, len(proposal.pixels)) for proposal in asked] == [
        (True, False, 100)
    ]


def test_what_is_filled_leaves() -> None:
    known, other = scene([OLD], 0), scene([(slice(20, 35), slice(20, 30))], 1)
    result, asked = carry.carried(square(*OLD), found(known, other))
    assert (result == square(slice(20, 35), slice(20, 30))).all()
    assert not asked


def test_a_mine_may_be_of_two_materials_and_the_season_another() -> None:
    """Dark water and bright waste, between which lies the green of the field; the field turns yellow."""
    known, other = scene([OLD], 0), scene([OLD, (slice(20, 35), slice(40, 50))], 1)
    for image, columns in ((known, slice(30, 40)), (other, slice(30, 50))):
        image[:, 20:35, columns] = image[:, 20:35, columns] // 10 + 100
    field = ~square(slice(20, 35), slice(20, 50))
    other[:2, field] += 800
    result, _ = carry.carried(square(*OLD), found(known, other))
    assert (result == square(slice(20, 35), slice(20, 50))).mean() > 0.99


def test_where_nothing_changed_nothing_is_proposed() -> None:
    assert found(scene([OLD], 0), scene([OLD], 1)) == []


def test_without_footprint_or_data_there_is_nothing_to_learn_from() -> None:
    known, other = scene([OLD], 0), scene([OLD], 1)
    both = regions.build(np.concatenate([known, other]))
    assert carry.proposals(known, np.zeros((60, 60), bool), other, both) == []
    assert carry.proposals(known, square(*OLD), other * 0, both) == []
