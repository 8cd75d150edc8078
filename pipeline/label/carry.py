"""A label carried from one date to a neighbouring one: what changed in between is proposed, the surest first.

What footprint looks like is learnt from the date that is labelled: a linear discriminant of its standardised
bands (Fisher 1936), inside against outside. Regions of both dates stacked whose look crossed over are
proposed to join or to leave; all others stay as they were.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.ndimage import label as connected

from pipeline.label import regions
from pipeline.label.regions import Regions

LEAST = 6
"""Pixels of a region that is judged as one."""
SURE = 2.0
"""Standard deviations of what did not change, by which a region's look must have moved to be proposed."""
TAKEN = 3.0
"""The same, for a proposal that is taken before anybody is asked."""
NEAR = 2
"""Pixels from the footprint within which a proposal touches it."""
BoolImage = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Proposal:
    """Pixels (C order) that would join the footprint or leave it, how surely, and whether they touch it."""

    pixels: NDArray[np.int64]
    joins: bool
    sureness: float
    touches: bool


def proposals(
    known: NDArray[Any], footprint: BoolImage, other: NDArray[Any], stacked: Regions
) -> list[Proposal]:
    """What to change of a `footprint` (y, x) of the image `known` (band, y, x) for the image `other`, the
    surest first; `stacked` are the regions of both."""
    seen = np.asarray((known > 0).all(axis=0) & (other > 0).all(axis=0))
    if min((seen & footprint).sum(), (seen & ~footprint).sum()) < LEAST:
        return []
    before, after = _looks(known, other, footprint, seen)
    moved = np.where(seen, after - before, 0.0)
    spread = max(float(1.4826 * np.median(np.abs(moved[seen] - np.median(moved[seen])))), 1e-6)
    segment = stacked.segments(LEAST)
    _, place, size = np.unique(segment, return_inverse=True, return_counts=True)
    place = place.reshape(segment.shape)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(place.ravel(), values.ravel()) / size)

    inside, look, move = mean(footprint.astype(float)), mean(after), mean(moved) / spread
    joins = (inside < 0.5) & (look > 0) & (move > SURE)
    leaves = (inside >= 0.5) & (look < 0) & (move < -SURE)
    near = binary_dilation(footprint, iterations=NEAR)
    found = [
        *_together(joins[place] & ~footprint & seen, np.abs(move)[place], near, joins=True),
        *_together(leaves[place] & footprint & seen, np.abs(move)[place], near, joins=False),
    ]
    return sorted(found, key=lambda proposal: -proposal.sureness)


def carried(footprint: BoolImage, found: list[Proposal]) -> tuple[BoolImage, list[Proposal]]:
    """The footprint with the surest proposals that touch it, and those that are left to be asked about: a
    bare field far from a mine looks like one."""
    taken = [proposal for proposal in found if proposal.sureness >= TAKEN and proposal.touches]
    result = footprint.copy()
    for proposal in taken:
        result.ravel()[proposal.pixels] = proposal.joins
    return result, [proposal for proposal in found if proposal not in taken]


def _looks(
    known: NDArray[Any], other: NDArray[Any], footprint: BoolImage, seen: BoolImage
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much each pixel of two images looks like footprint (y, x): above 0 rather so."""
    one, two = (regions.standardised(image)[:, seen].T for image in (known, other))
    own = footprint[seen]
    # Fair to both: a small mine must not drown in its surroundings.
    within = (np.cov(one[own], rowvar=False) + np.cov(one[~own], rowvar=False)) / 2
    within = np.atleast_2d(within) + 0.05 * np.eye(one.shape[1])
    means = one[own].mean(axis=0), one[~own].mean(axis=0)
    weights = np.linalg.solve(within, means[0] - means[1])
    middle = float(weights @ (means[0] + means[1]) / 2)
    looks = []
    for values in (one, two):
        image = np.zeros(seen.shape, np.float32)
        image[seen] = values @ weights - middle
        looks.append(image)
    return looks[0], looks[1]


def _together(pixels: BoolImage, sureness: NDArray[Any], near: BoolImage, joins: bool) -> list[Proposal]:
    """Pixels that touch one another as one proposal."""
    places, count = connected(pixels)
    flat, found = places.ravel(), []
    order = np.argsort(flat, kind="stable")
    ends = np.searchsorted(flat[order], np.arange(1, count + 2))
    for first, last in pairwise(ends):
        own = order[first:last]
        if own.size >= LEAST:
            touches = bool(near.ravel()[own].any())
            found.append(Proposal(own, joins, float(sureness.ravel()[own].mean()), touches))
    return found
