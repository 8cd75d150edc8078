"""A label carried from one date to a neighbouring one: what changed in between is proposed, the surest first.

What footprint looks like is learnt from each of the two images by itself, for most of the label is true of
both: how dense pixels from inside lie around a pixel's standardised bands, against those from outside (Parzen
1962, doi 10.1214/aoms/1177704472). So a mine may be of several materials, and a season's colours need no
matching. Regions of both dates stacked whose look crossed over are proposed to join or to leave; all others
stay as they were.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.ndimage import label as connected

from pipeline.core import threads
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
SAMPLES, WIDTH = 128, 0.5
"""Pixels a side that densities are taken from, and how far each reaches, in standard deviations of a band."""
FAR = 1e-6
"""A density so low says nothing."""
CHUNK = 1024
"""Pixels at a time: what fits a processor's cache."""
BoolImage = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Proposal:
    """Pixels (C order) that would join the footprint or leave it, how surely, and whether they touch it."""

    pixels: NDArray[np.int64]
    joins: bool
    sureness: float
    touches: bool


def proposals(
    known: NDArray[Any], footprint: BoolImage, other: NDArray[Any], stacked: Regions,
    has_data: BoolImage | None = None,
) -> list[Proposal]:  # fmt: skip
    """What to change of a `footprint` (y, x) of the image `known` (band, y, x) for the image `other`, the
    surest first; `stacked` are the regions of both, and `has_data` (y, x) is where both have data, without it
    where no band is 0."""
    seen = np.asarray((known > 0).all(axis=0) & (other > 0).all(axis=0)) if has_data is None else has_data
    if min((seen & footprint).sum(), (seen & ~footprint).sum()) < LEAST:
        return []
    with threads.in_this_thread():
        before, after = _look(known, footprint, seen), _look(other, footprint, seen)
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


def _look(image: NDArray[Any], footprint: BoolImage, seen: BoolImage) -> NDArray[np.float32]:
    """How much each pixel (y, x) of an image looks like footprint, as the logarithm of the densities' ratio:
    above 0 rather so; 0 where not seen."""
    values = regions.standardised(image)[:, seen].T
    own = footprint[seen]
    samples = np.concatenate([_evenly(values[own]), _evenly(values[~own])]) / WIDTH
    # exp(-|v - s|^2 / 2) with one product of matrices: v.s - |v|^2 / 2 - |s|^2 / 2.
    across = np.c_[samples, -np.square(samples).sum(axis=1) / 2].T.astype(np.float32)
    ratio = np.empty(len(values), np.float32)
    for first in range(0, len(values), CHUNK):
        chunk = values[first : first + CHUNK] / np.float32(WIDTH)
        near = np.c_[chunk, np.ones(len(chunk), np.float32)] @ across
        near -= np.square(chunk).sum(axis=1, keepdims=True) / 2
        np.exp(near, out=near)
        inside, outside = near[:, :SAMPLES].mean(axis=1), near[:, SAMPLES:].mean(axis=1)
        ratio[first : first + CHUNK] = np.log((inside + FAR) / (outside + FAR))
    look = np.zeros(seen.shape, np.float32)
    look[seen] = ratio
    return look


def _evenly(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """SAMPLES of the pixels (pixel, band), spread over the image; some more than once where there are few."""
    return values[np.linspace(0, len(values) - 1, SAMPLES).astype(int)]


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
