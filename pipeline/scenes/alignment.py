"""Every date of a site on its reference: measured against it, and read again where it lies beside it."""

from collections.abc import Callable, Iterable
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
ReadEach = Callable[[Callable[[Candidate], object], list[Candidate]], object]


@dataclass(frozen=True)
class Anchor:
    """A site's reference: its texture, its clear pixels with data (y, x), and how many of its bands are
    looked at."""

    scene: Reference
    clear: NDArray[np.bool_]
    bands: int


class Aligner:
    """Measures scenes against the site's reference: the one of an earlier run, or the clearest."""

    def __init__(self, reader: Reader, settled: list[Candidate]) -> None:
        self.reader, self.store, self.recipe = reader, reader.store, reader.recipe
        self.settled = settled

    def align(self, chosen: list[Candidate], read_each: ReadEach) -> None:
        """Measure each scene's shift, and correct it where the recipe says so. Settled scenes stay.
        `read_each` does what reads pixels anew, scene by scene; a scene that fails there is no more
        selected."""
        rule = self.recipe.selection
        ready = [c for c in chosen if c.clear_pixels is not None]
        reference = self._reference(ready)
        if not rule.measure_shifts or reference is None or len(ready) + len(self.settled) < 2:
            return
        if reference in ready:
            reference.shift = Offset(0.0, 0.0, 1.0)
        anchor = self._anchor(reference)
        if anchor is None:
            return
        others = [candidate for candidate in ready if candidate is not reference]
        shifts = self._measured(anchor, others, STILL)
        for candidate, shift in zip(others, shifts, strict=True):
            candidate.shift = shift
        if rule.coregister:
            off = [c for c in others if c.shift and c.shift.is_worth_correcting]
            read_each(lambda candidate: self._correct(anchor, candidate), off)

    def _reference(self, ready: list[Candidate]) -> Candidate | None:
        known = [c for c in self.settled if c.shift and c.shift.size == 0 and c.shift.confidence == 1]
        among = self.settled or ready
        return known[0] if known else max(among, key=lambda c: c.clear, default=None)

    def _anchor(self, reference: Candidate) -> Anchor | None:
        image = self.store.fine(reference.scene.id, self.reader.grid.shape)
        if image is None or reference.clear_pixels is None:
            return None
        image = image[:BANDS]
        clear = self.reader.on_target(reference.clear_pixels) & image.all(axis=0)
        return Anchor(Reference.of(image, clear), clear, len(image))

    def _correct(self, anchor: Anchor, candidate: Candidate) -> None:
        """Read a scene on the grid its shift asks for; keep that only where less is left."""
        found = candidate.shift or NOWHERE
        shift = metres(found, self.recipe)
        scene_id = candidate.scene.id
        before = self.store.files_of(scene_id)
        self.reader.keep_mask(candidate.scene, shift)
        names = self.reader.bands(candidate.scene, shift)
        (left,) = self._measured(anchor, [candidate], shift)
        if left.confidence > 0 and left.size < found.size:
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


def metres(offset: Offset, recipe: Recipe) -> Shift:
    """East and north, to the centimetre: what is written down is what was done."""
    size = recipe.sensor.resolution
    return round(offset.right * size, 2) + 0.0, round(-offset.down * size, 2) + 0.0


def pixels(east: float, north: float, confidence: float, recipe: Recipe) -> Offset:
    """The offset of a row of `scenes`, in pixels."""
    size = recipe.sensor.resolution
    return Offset(-north / size, east / size, confidence)
