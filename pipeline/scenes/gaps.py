"""What a period lacks after a source was searched, so that the next source of the recipe's list can fill it.

A period lacks its image if no day is clear enough, if its chosen days together show a smaller share of the
AOI than `selection.min_period_clear`, or if they are of a lower processing level than the recipe's sensor. It
lacks a day if a scene listed for that day cannot be used. To a period without its image the next source gives
the days that no source before it lists, and the days it lacks; to one with its image, the latter alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from pipeline.recipe import Recipe
from pipeline.scenes.selection import LOST, BoolImage, Candidate


@dataclass(frozen=True)
class Gap:
    """What a period lacks; false where it lacks nothing."""

    lacks_image: bool
    unusable_days: frozenset[date]
    """Days with a scene that cannot be used."""
    usable_days: frozenset[date]
    """All other days with scenes, cloudy ones too."""

    def __bool__(self) -> bool:
        return self.lacks_image or bool(self.unusable_days)

    def takes(self, day: date) -> bool:
        """Return whether the next source's scenes of a day are taken."""
        return day in self.unusable_days or (self.lacks_image and day not in self.usable_days)


def of_candidates(candidates: Sequence[Candidate], aoi: BoolImage, recipe: Recipe) -> Gap:
    """Return what a period lacks after its days were chosen; `aoi` (y, x) is on the grid of the masks."""
    chosen = [candidate for candidate in candidates if candidate.selected]
    clear = np.zeros_like(aoi)
    for candidate in chosen:
        if candidate.clear_pixels is not None:
            clear |= candidate.clear_pixels
    unusable = _unusable_days(candidates)
    lacks_image = (
        not chosen
        or float(clear[aoi].mean()) < recipe.selection.min_period_clear
        or any("" < candidate.scene.tier < recipe.profile.level[:2] for candidate in chosen)
    )
    return Gap(lacks_image, unusable, frozenset(candidate.day for candidate in candidates) - unusable)


def _unusable_days(candidates: Sequence[Candidate]) -> frozenset[date]:
    """Return the days with a scene that cannot be used, unless a later source has given that day. Candidates
    are in the order of their sources."""
    last_source: dict[date, str] = {}
    is_unusable: dict[date, bool] = {}
    for candidate in candidates:
        day, source = candidate.day, candidate.scene.source
        before = is_unusable.get(day, False) and last_source[day] == source
        last_source[day], is_unusable[day] = source, before or candidate.is_lost
    return frozenset(day for day, unusable in is_unusable.items() if unusable)


def in_rows(rows: Sequence[dict[str, Any]], recipe: Recipe) -> bool:
    """Return whether a period may lack something, judged by its rows of the table of scenes.

    The rows say how much of the AOI each day shows, not what several days show together. A period of which no
    single day shows enough therefore may lack its image.
    """
    chosen = [row for row in rows if row["selected"]]
    if not chosen or any(row["status"] in LOST for row in rows):
        return True
    clearest = max(row["day_clear"] for row in chosen)
    is_lower = any("" < row["level"][:2] < recipe.profile.level[:2] for row in chosen)
    return bool(clearest < recipe.selection.min_period_clear or is_lower)
