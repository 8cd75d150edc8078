"""What a period lacks, so that the next of several sources is asked for it.

A period lacks an image where no day is clear enough, where its chosen days together leave more of the AOI
unseen than `selection.min_period_clear` allows, or where they are of a lower level than the recipe's sensor.
Then the next source is asked for all days that those before it do not have. A period that has an image may
lack days: those of scenes that a source lists and that cannot be used. Then it is asked for those alone.
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
    """What a period lacks. `image` says that it is a whole image; `lost` are days whose scenes cannot be
    used, and `had` all other days that there are scenes of."""

    image: bool
    lost: frozenset[date]
    had: frozenset[date]

    def __bool__(self) -> bool:
        return self.image or bool(self.lost)

    def takes(self, day: date) -> bool:
        """Whether scenes of a day are taken from the next source."""
        return day in self.lost or (self.image and day not in self.had)


def of_candidates(candidates: Sequence[Candidate], aoi: BoolImage, recipe: Recipe) -> Gap:
    """Return what a period lacks whose choice was just made; `aoi` is (y, x) on the grid of the masks."""
    chosen = [candidate for candidate in candidates if candidate.selected]
    seen = np.zeros_like(aoi)
    for candidate in chosen:
        if candidate.clear_pixels is not None:
            seen |= candidate.clear_pixels
    lost = frozenset(candidate.day for candidate in candidates if candidate.is_lost)
    is_short = (
        not chosen
        or float(seen[aoi].mean()) < recipe.selection.min_period_clear
        or any("" < candidate.scene.tier < recipe.profile.level[:2] for candidate in chosen)
    )
    return Gap(is_short, lost, frozenset(candidate.day for candidate in candidates) - lost)


def in_rows(rows: Sequence[dict[str, Any]], recipe: Recipe) -> bool:
    """Return whether a period may lack something, by its rows of the table of scenes. They do not say what
    several days show together: where no day alone shows enough, it may."""
    chosen = [row for row in rows if row["selected"]]
    if not chosen or any(row["status"] in LOST for row in rows):
        return True
    shown = max(row["day_clear"] for row in chosen)
    is_lower = any("" < row["level"][:2] < recipe.profile.level[:2] for row in chosen)
    return bool(shown < recipe.selection.min_period_clear or is_lower)
