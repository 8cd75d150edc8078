"""Checks of the offset of Sentinel-2's processing baseline 04.00.

"Words" are what an item's metadata state of it, "numbers" what its pixels show.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.doctor.known_catalogues import KnownScene
from pipeline.doctor.seen import NotChecked, Seen, judged
from pipeline.doctor.visit import LEAST_CLEAR, Look, Visit, area_of
from pipeline.scenes import radiometry
from pipeline.scenes.radiometry import Date
from pipeline.sensors import boa_offset
from pipeline.sources.protocol import Scene

MOST_BEFORE, TRIED_BEFORE = 3, 5
"""Most earlier dates that a scene is compared with, and most scenes read to find them."""


def words(visit: Visit) -> Seen:
    """Report the offset that the metadata of a scene from after January 2022 state."""
    scene, expected = visit.scene, visit.catalogue.offset
    if expected is None:
        return judged(f"{scene.id}: {_stated(scene)}", scene.offset_from != boa_offset.NOTHING_SAYS)
    return judged(f"{scene.id}: {_stated(scene)}", scene.offset == expected and not scene.is_doubtful)


def known_words(visit: Visit) -> Seen:
    """Report the offset that the metadata of the known scene state, and those of its neighbours."""
    known = _known(visit)
    scenes = _of_that_day(visit)
    known_scene = next((scene for scene in scenes if scene.id == known.id), None)
    others = [scene for scene in scenes if scene is not known_scene]
    agreeing = sum(scene.offset == known.words for scene in others)
    neighbours = f"{agreeing} of {len(others)} neighbours say {known.words}"
    if known_scene is None:
        return judged(f"no item {known.id} among {len(scenes)} of that day; {neighbours}", False)
    return judged(
        f"{known_scene.id}: {_stated(known_scene)}; {neighbours}", known_scene.offset == known.words
    )


def pixels(visit: Visit) -> Seen:
    """Compare a scene's pixels with those of earlier dates of the same ground, whose offset is certain."""
    look = _target(visit)
    known = visit.catalogue.known
    numbers = visit.source.read(look.scene.as_stored, visit.bands, look.grid)
    earlier, why_none = _earlier(visit, look)
    earlier_numbers = [visit.source.read(other.scene, visit.bands, look.grid) for other in earlier]
    earlier_dates = [
        Date.thinned(its_numbers, other.clear)
        for its_numbers, other in zip(earlier_numbers, earlier, strict=True)
    ]
    # As in a fetch, weaker evidence suffices where pixels agree with the metadata. A reported error of the
    # metadata must show in the pixels alone.
    stated = None if known else look.scene.offset
    verdict = radiometry.decide(Date.thinned(numbers, look.clear), earlier_dates, visit.bands, stated)
    text = _compared(look, numbers, earlier, earlier_numbers)
    if verdict.offset is None:
        raise NotChecked(f"the numbers do not decide ({why_none or verdict.evidence}): {text}")
    expected = known.pixels if known else look.scene.offset
    return judged(f"{verdict.offset} by numbers ({verdict.evidence}): {text}", verdict.offset == expected)


def _stated(scene: Scene) -> str:
    """Return the offset that a scene's metadata state and which of them, in words."""
    doubt = ", pixels decide" if scene.is_doubtful else ""
    return f"{scene.offset} ({scene.offset_from or 'no metadata'}{doubt})"


def _known(visit: Visit) -> KnownScene:
    assert visit.catalogue.known is not None  # only such a catalogue has these lines
    return visit.catalogue.known


def _of_that_day(visit: Visit) -> list[Scene]:
    """Return the scenes of the known scene's day: itself and its neighbours."""
    known = _known(visit)
    area = area_of(known.at.place, known.around)
    return visit.once(
        "the search of that day", lambda: visit.source.search(area, known.at.start, known.at.end)
    )


def _target(visit: Visit) -> Look:
    """Return the window whose offset is examined: the known scene's, else the clearest scene's."""
    if visit.catalogue.known is None:
        return visit.look
    known = _known(visit)
    scene = next((one for one in _of_that_day(visit) if one.id == known.id), None)
    if scene is None:
        raise NotChecked(f"there is no item {known.id}")
    if scene.flaw:
        raise NotChecked(f"{scene.id} cannot be read: {scene.flaw}")
    return visit.look_at(scene, visit.window(scene, known.at.place))


def _earlier(visit: Visit, look: Look) -> tuple[list[Look], str]:
    """Return earlier windows of the same ground whose offset is certain; if there is none, also why."""
    assert visit.catalogue.before is not None  # only such a catalogue has this line
    known = visit.catalogue.known
    area = area_of(known.at.place) if known else visit.area
    scenes = visit.source.search(area, *visit.catalogue.before)
    certain = [scene for scene in scenes if not scene.is_doubtful and scene.id != look.scene.id]
    if not certain:
        return [], f"none of {len(scenes)} earlier scenes has a certain offset"
    earlier: list[Look] = []
    for other in visit.clearest_looks(certain, look.grid, TRIED_BEFORE):
        if other.clear.mean() >= LEAST_CLEAR:
            earlier.append(other)
        if len(earlier) == MOST_BEFORE:
            break
    return earlier, "" if earlier else "no earlier scene is clear here"


def _compared(
    look: Look,
    numbers: NDArray[np.uint16],
    earlier: Sequence[Look],
    earlier_numbers: Sequence[NDArray[np.uint16]],
) -> str:
    """Return the medians of clear ground of a scene as stored and of earlier ones, in words. Arrays are
    (band, y, x)."""
    parts = [f"{look.scene.time:%Y-%m-%d} as stored {_medians(numbers, look)}"]
    for other, its_numbers in zip(earlier, earlier_numbers, strict=True):
        parts.append(f"{other.scene.time:%Y-%m-%d} {_medians(its_numbers, other)}")
    return ", ".join(parts)


def _medians(numbers: NDArray[np.uint16], look: Look) -> str:
    ground = numbers[:, look.clear & (numbers > 0).all(axis=0)]
    return "without clear ground" if not ground.size else str([int(np.median(band)) for band in ground])
