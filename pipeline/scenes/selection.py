"""Which scenes make a period's image. Every candidate ends as a row that says why, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import Selection
from pipeline.scenes.status import CHOSEN, Fate, Status, fate
from pipeline.sensors import boa_offset, classes
from pipeline.sensors.classes import ClearRule
from pipeline.sources.protocol import Scene

if TYPE_CHECKING:
    from pipeline.scenes.coregister import Offset

BoolImage = NDArray[np.bool_]
LOST = frozenset({Status.FLAWED, Status.UNDECIDED})
"""Scenes that a source lists and that cannot be used."""
VERSION = 1
"""Of the clear pixels (`clear_pixels`): raise it when they come out otherwise."""


@dataclass(eq=False)
class Candidate:
    """A scene in a period with what was measured over the AOI (fractions of its pixels). `fate` is None
    as long as nothing is decided. A scene of two periods that overlap is a candidate in each."""

    scene: Scene
    day: date
    cloud: float = float("nan")
    clear: float = float("nan")
    day_clear: float = float("nan")
    fate: Fate | None = None
    offset_from: str = ""
    on_grid: bool = True
    """Whether its pixels lie on the site's own grid, or no other granule of its day does."""
    shift: Offset | None = None
    """Off the reference as the provider has it; `left` is what is left once corrected."""
    left: Offset | None = None
    clear_pixels: BoolImage | None = field(default=None, repr=False)

    @property
    def is_open(self) -> bool:
        return self.fate is None

    @property
    def offset_is_known(self) -> bool:
        """Whether other scenes may be compared with it. Tables of earlier versions do not name the evidence,
        and their check of pixels missed wrong flags: of theirs only scenes that never had an offset count."""
        has_evidence = " (" in self.offset_from and not self.is_undecided
        return has_evidence or boa_offset.never_carried(self.scene.baseline)

    @property
    def is_undecided(self) -> bool:
        """Whether its offset was believed, as nothing told for sure."""
        return self.offset_from.startswith("undecided")

    @property
    def is_lost(self) -> bool:
        """Whether there is such a scene and its source has no pixels of it that could be used."""
        return self.fate is not None and self.fate.status in LOST

    @property
    def selected(self) -> bool:
        return self.fate == CHOSEN


def reject_by_metadata(candidate: Candidate, rule: Selection) -> bool:
    """Whether what the scene says of itself, or the recipe, already rules it out."""
    cover = candidate.scene.cloud_cover
    if candidate.scene.flaw:
        candidate.fate = fate(Status.FLAWED, why=candidate.scene.flaw)
    elif candidate.scene.id in rule.exclude:
        candidate.fate = fate(Status.EXCLUDED)
    elif cover is not None and cover > rule.max_cloud:
        candidate.fate = fate(Status.CLOUDY, cover=cover, limit=rule.max_cloud)
    return not candidate.is_open


def clear_pixels(seen: NDArray[np.uint8], rule: ClearRule) -> BoolImage:
    """Pixels of a clear class at least `margin` pixels from every cloud, shadow, cirrus or snow. Nodata
    is not clear, but is no cloud either: the margin does not grow from it."""
    counts = np.zeros(256, np.bool_)
    counts[[*rule.numbers, classes.CLEAR]] = True
    clear = counts[seen]
    unclear = (seen != classes.NODATA) & ~clear
    # A lone pixel is far more often a bright roof than a cloud.
    if rule.margin and unclear.any():
        clear &= ~grown(unclear & _has_neighbour(unclear), rule.margin)
    return clear


def measure(candidate: Candidate, seen: NDArray[np.uint8], aoi: BoolImage, rule: Selection) -> None:
    """Fill in the cloud and clear fractions of the AOI from the classes (y, x) of its pixels."""
    candidate.clear_pixels = clear_pixels(seen, rule.clear)
    candidate.cloud = float(np.isin(seen[aoi], classes.CLOUDS).mean())
    candidate.clear = float(candidate.clear_pixels[aoi].mean())
    if not seen[aoi].any():
        candidate.fate = fate(Status.NO_DATA)


def choose(
    candidates: list[Candidate], aoi: BoolImage, rule: Selection, window: tuple[date, date] | None = None
) -> None:
    """Decide the open scenes of one period; granules of one day stand or fall together. Levels are not mixed
    in one image: scenes of a lower one are chosen only where none of a higher one is. `window` are the days
    that were searched, from the first to before the second."""
    is_chosen = False
    for tier in sorted({candidate.scene.tier for candidate in candidates}, reverse=True):
        members = [candidate for candidate in candidates if candidate.scene.tier == tier]
        if is_chosen:
            for candidate in members:
                candidate.fate = candidate.fate or fate(Status.OTHER_LEVEL)
            continue
        _choose(members, aoi, rule, window)
        is_chosen = any(candidate.selected for candidate in members)


def _choose(
    candidates: list[Candidate], aoi: BoolImage, rule: Selection, window: tuple[date, date] | None
) -> None:
    """Decide the open ones among candidates of equal rank."""
    days: dict[date, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.is_open:
            days.setdefault(candidate.day, []).append(candidate)
    clear = {day: _together(members, aoi) for day, members in days.items()}
    ranked = sorted(days, key=lambda day: _rank(day, clear[day], rule, window))
    usable = [day for day in ranked if clear[day] >= rule.min_clear]
    wanted = set(usable[: rule.most_days])
    for day, members in days.items():
        for candidate in members:
            candidate.day_clear = clear[day]
            candidate.fate = CHOSEN if day in wanted else _why_not(day, clear, usable, rule)


def _rank(
    day: date, clear: float, rule: Selection, window: tuple[date, date] | None
) -> tuple[float, int, date]:
    """What days are sorted by, the best first."""
    if rule.equally_clear == "earliest" or window is None:
        return -clear, 0, day
    first, last = window
    # Twice the distance from the middle, which may lie between two days.
    return -round(clear, 2), abs((day - first).days - (last - day).days + 1), day


def reopen(candidates: list[Candidate], tried: list[Candidate]) -> bool:
    """Open a period again where one of its scenes that were tried cannot be used; return whether it is."""
    lost = {id(c) for c in tried if c.is_lost}
    if not any(id(candidate) in lost for candidate in candidates):
        return False
    open_again(candidates)
    return True


def open_again(candidates: list[Candidate]) -> None:
    """Undo what candidates became by comparison with others."""
    for candidate in candidates:
        if candidate.fate and candidate.fate.status in CHOICES:
            candidate.fate = None


CHOICES = {
    Status.CHOSEN, Status.OTHER_CLEARER, Status.COMPOSITE_FULL, Status.OTHER_LEVEL, Status.NOT_CLEAR,
}  # fmt: skip
"""What a scene becomes by comparison with others of its period."""


def _why_not(day: date, clear: Mapping[date, float], usable: list[date], rule: Selection) -> Fate:
    if clear[day] < rule.min_clear:
        return fate(Status.NOT_CLEAR, clear=clear[day], limit=rule.min_clear)
    if rule.policy == "least_cloudy":
        before = "earlier" if rule.equally_clear == "earliest" else "nearer to the middle of the season"
        return fate(Status.OTHER_CLEARER, day=usable[0], before=before)
    return fate(Status.COMPOSITE_FULL, limit=rule.max_days)


def _together(members: list[Candidate], aoi: BoolImage) -> float:
    """Clear fraction of the AOI over all granules of a day."""
    union = np.zeros_like(aoi)
    for member in members:
        if member.clear_pixels is not None:
            union |= member.clear_pixels
    return float(union[aoi].mean())


def grown(pixels: BoolImage, radius: int) -> BoolImage:
    """Pixels within `radius` and a half of one of the set, by centres: a dilation with a disc, row by row
    from its top, where it is narrowest."""
    height, width = pixels.shape
    wide, reach = pixels.copy(), 0
    result = np.zeros_like(pixels)
    for down in range(min(radius, height - 1), -1, -1):
        while reach < min(int(np.sqrt((radius + 0.5) ** 2 - down**2)), width - 1):
            reach += 1
            wide[:, reach:] |= pixels[:, : width - reach]
            wide[:, : width - reach] |= pixels[:, reach:]
        result[down:] |= wide[: height - down]
        result[: height - down] |= wide[down:]
    return result


def _has_neighbour(pixels: BoolImage) -> BoolImage:
    """Pixels of the set with another of the set beside, above or below."""
    padded = np.pad(pixels, 1)
    around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return pixels & around
