"""Checks of the offset of Sentinel-2's baseline 04.00: what words say, and what numbers show."""

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
"""Earlier dates that a scene is compared with, and those that are looked at for it."""


def words(visit: Visit) -> Seen:
    """Tell what the words of a scene from after January 2022 say."""
    scene, expected = visit.scene, visit.catalogue.offset
    if expected is None:
        return judged(f"{scene.id}: {_said(scene)}", scene.offset_from != boa_offset.NOTHING_SAYS)
    return judged(f"{scene.id}: {_said(scene)}", scene.offset == expected and not scene.is_doubtful)


def known_words(visit: Visit) -> Seen:
    """Tell what the words of a scene say of which something was reported, and those of its neighbours."""
    known = _known(visit)
    scenes = _of_that_day(visit)
    own = next((scene for scene in scenes if scene.id == known.id), None)
    others = [scene for scene in scenes if scene is not own]
    alike = sum(scene.offset == known.words for scene in others)
    neighbours = f"{alike} of {len(others)} neighbours say {known.words}"
    if own is None:
        return judged(f"no item {known.id} among {len(scenes)} of that day; {neighbours}", False)
    return judged(f"{own.id}: {_said(own)}; {neighbours}", own.offset == known.words)


def pixels(visit: Visit) -> Seen:
    """Compare a scene's numbers with earlier dates of the same ground, whose offset is known."""
    look = _target(visit)
    known = visit.catalogue.known
    numbers = visit.source.read(look.scene.as_stored, visit.bands, look.grid)
    before, lacking = _before(visit, look)
    others = [visit.source.read(other.scene, visit.bands, look.grid) for other in before]
    dates = [Date.thinned(own, other.clear) for own, other in zip(others, before, strict=True)]
    own = Date.thinned(numbers, look.clear)
    # As in a fetch: where numbers say what words say, less is enough; what was reported must show by itself.
    said = None if known else look.scene.offset
    verdict = radiometry.decide(own, dates, visit.bands, said)
    text = _compared(look, numbers, before, others)
    if verdict.offset is None:
        raise NotChecked(f"the numbers do not tell ({lacking or verdict.evidence}): {text}")
    expected = known.pixels if known else look.scene.offset
    return judged(f"{verdict.offset} by numbers ({verdict.evidence}): {text}", verdict.offset == expected)


def _said(scene: Scene) -> str:
    doubt = ", pixels decide" if scene.is_doubtful else ""
    return f"{scene.offset} ({scene.offset_from or 'no words'}{doubt})"


def _known(visit: Visit) -> KnownScene:
    assert visit.catalogue.known is not None  # only such a catalogue has these lines
    return visit.catalogue.known


def _of_that_day(visit: Visit) -> list[Scene]:
    """The known scene's day: its own item and its neighbours'."""
    known = _known(visit)
    area = area_of(known.at.place, known.around)
    return visit.once(
        "the search of that day", lambda: visit.source.search(area, known.at.start, known.at.end)
    )


def _target(visit: Visit) -> Look:
    """The scene whose numbers are asked: the known one, else the clearest."""
    if visit.catalogue.known is None:
        return visit.look
    known = _known(visit)
    scene = next((one for one in _of_that_day(visit) if one.id == known.id), None)
    if scene is None:
        raise NotChecked(f"there is no item {known.id}")
    if scene.flaw:
        raise NotChecked(f"{scene.id} cannot be read: {scene.flaw}")
    return visit.looked(scene, visit.window(scene, known.at.place))


def _before(visit: Visit, look: Look) -> tuple[list[Look], str]:
    """Earlier dates of the same ground whose words are sure, and why there is none."""
    assert visit.catalogue.before is not None  # only such a catalogue has this line
    known = visit.catalogue.known
    area = area_of(known.at.place) if known else visit.area
    scenes = visit.source.search(area, *visit.catalogue.before)
    sure = [scene for scene in scenes if not scene.is_doubtful and scene.id != look.scene.id]
    if not sure:
        return [], f"none of {len(scenes)} earlier scenes is sure of its offset"
    found: list[Look] = []
    for other in visit.looks(sure, look.grid, TRIED_BEFORE):
        if other.clear.mean() >= LEAST_CLEAR:
            found.append(other)
        if len(found) == MOST_BEFORE:
            break
    return found, "" if found else "no earlier scene is clear here"


def _compared(
    look: Look, numbers: NDArray[np.uint16], before: Sequence[Look], others: Sequence[NDArray[np.uint16]]
) -> str:
    """The medians of clear ground, of a scene as stored and of earlier ones."""
    own = f"{look.scene.time:%Y-%m-%d} as stored {_medians(numbers, look)}"
    return ", ".join(
        [own, *(f"{a.scene.time:%Y-%m-%d} {_medians(b, a)}" for a, b in zip(before, others, strict=True))]
    )


def _medians(numbers: NDArray[np.uint16], look: Look) -> str:
    seen = numbers[:, look.clear & (numbers > 0).all(axis=0)]
    return "without clear ground" if not seen.size else str([int(np.median(band)) for band in seen])
