"""Every date of a site on its reference: measured against it, and read again where it lies beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minebench import cores
from pipeline.core.threads import pool
from pipeline.recipe import Recipe
from pipeline.scenes.coregister import Offset, Reference
from pipeline.scenes.reader import STILL, Reader
from pipeline.scenes.selection import Candidate
from pipeline.scenes.store import Shift

NOWHERE = Offset(0.0, 0.0, 0.0)
BANDS = 4
"""So many of the bands on the target grid are looked at."""


@dataclass(frozen=True)
class Anchor:
    """A site's reference: the scene, its texture, its clear pixels with data (y, x), and how many of its
    bands are looked at."""

    reference: Candidate
    scene: Reference
    clear: NDArray[np.bool_]
    bands: int


class Aligner:
    """Measures scenes against the site's reference: the one of an earlier run, or the clearest."""

    def __init__(self, reader: Reader, settled: list[Candidate]) -> None:
        self.reader, self.store, self.recipe = reader, reader.store, reader.recipe
        self.settled = settled

    def anchor(self, chosen: Sequence[Candidate]) -> Anchor | None:
        """Return what the chosen scenes are measured against; None where no shift is to be measured, or there
        is nothing to measure it with. A reference among the chosen scenes gets a shift of zero."""
        ready = _ready(chosen)
        reference = self._reference(ready)
        is_measured = self.recipe.selection.measure_shifts and len(ready) + len(self.settled) >= 2
        if not is_measured or reference is None:
            return None
        if reference in ready:
            reference.shift = Offset(0.0, 0.0, 1.0)
        return self._anchor(reference)

    def measure(self, anchor: Anchor, chosen: Sequence[Candidate]) -> list[Candidate]:
        """Measure the shift of each chosen scene but the reference; return the scenes worth correcting."""
        others = [candidate for candidate in _ready(chosen) if candidate is not anchor.reference]
        shifts = self._measured(anchor, others, STILL)
        for candidate, shift in zip(others, shifts, strict=True):
            candidate.shift = shift
        return [c for c in others if c.shift and c.shift.is_worth_correcting]

    def _reference(self, ready: Sequence[Candidate]) -> Candidate | None:
        known = [c for c in self.settled if c.shift and c.shift.size == 0 and c.shift.confidence == 1]
        among = self.settled or ready
        return known[0] if known else max(among, key=lambda c: c.clear, default=None)

    def _anchor(self, reference: Candidate) -> Anchor | None:
        image = self.store.fine(reference.scene.id, self.reader.grid.shape)
        if image is None or reference.clear_pixels is None:
            return None
        image = image[:BANDS]
        clear = self.reader.on_target(reference.clear_pixels) & image.all(axis=0)
        return Anchor(reference, Reference.of(image, clear), clear, len(image))

    def correct(self, anchor: Anchor, candidate: Candidate) -> None:
        """Read a scene on the grid its shift asks for; keep that only where less is left."""
        before_correction = candidate.shift or NOWHERE
        shift = metres(before_correction, self.recipe)
        scene_id = candidate.scene.id
        before = self.store.files_of(scene_id)
        self.reader.keep_mask(candidate.scene, shift)
        names = self.reader.bands(candidate.scene, shift)
        (left,) = self._measured(anchor, [candidate], shift)
        if left.confidence > 0 and left.size < before_correction.size:
            candidate.left = left
            self.store.drop(before)
        else:
            mask = self.store.mask(scene_id)
            self.store.drop([*names, *([mask] if mask and mask not in before else [])])

    def _measured(self, anchor: Anchor, candidates: Iterable[Candidate], shift: Shift) -> list[Offset]:
        # A thread a core: measuring is arithmetic outside of Python's lock.
        threads = pool("align", cores.count())
        return list(threads.map(lambda candidate: self._offset(anchor, candidate, shift), candidates))

    def _offset(self, anchor: Anchor, candidate: Candidate, shift: Shift) -> Offset:
        moving = self.reader.fine(candidate.scene, shift, anchor.bands)
        if moving is None or candidate.clear_pixels is None:
            return NOWHERE
        clear = anchor.clear & self.reader.on_target(candidate.clear_pixels) & moving.all(axis=0)
        return anchor.scene.measure(moving, clear)


def _ready(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the scenes whose clear pixels are known."""
    return [candidate for candidate in candidates if candidate.clear_pixels is not None]


def metres(offset: Offset, recipe: Recipe) -> Shift:
    """East and north, to the centimetre: what is written down is what was done."""
    size = recipe.sensor.resolution
    return round(offset.right * size, 2) + 0.0, round(-offset.down * size, 2) + 0.0


def pixels(east: float, north: float, confidence: float, recipe: Recipe) -> Offset:
    """The offset of a row of `scenes`, in pixels."""
    size = recipe.sensor.resolution
    return Offset(-north / size, east / size, confidence)
