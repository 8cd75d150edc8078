"""Every date of a site on its reference: measured against it, and read again where it lies beside it."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from pipeline.recipe import Recipe
from pipeline.scenes import coregister
from pipeline.scenes.coregister import Offset
from pipeline.scenes.reader import STILL, Reader
from pipeline.scenes.selection import Candidate
from pipeline.scenes.store import Shift

Trying = Callable[[Callable[[Candidate], object]], Callable[[Candidate], None]]


class Aligner:
    """Measures scenes against the site's reference: the one of an earlier run, or the clearest."""

    def __init__(self, reader: Reader, settled: list[Candidate]) -> None:
        self.reader, self.store, self.recipe = reader, reader.store, reader.recipe
        self.settled = settled

    def align(self, chosen: list[Candidate], trying: Trying) -> None:
        """Measure each scene's shift, and correct it where the recipe says so. Settled scenes stay."""
        ready = [c for c in chosen if c.clear_pixels is not None]
        reference = self._reference(ready)
        if reference is None or len(ready) + len(self.settled) < 2:
            return
        if reference in ready:
            reference.shift = Offset(0.0, 0.0, 1.0)
        image = self.store.fine(reference.scene.id, self.reader.grid.shape)
        if image is None:
            return
        for candidate in ready:
            if candidate is reference:
                continue
            candidate.shift = self._measured(reference, image, candidate, STILL)
            if self.recipe.selection.coregister and candidate.shift.is_worth_correcting:
                trying(lambda c: self._correct(reference, image, c))(candidate)

    def _reference(self, ready: list[Candidate]) -> Candidate | None:
        known = [c for c in self.settled if c.shift and c.shift.size == 0 and c.shift.confidence == 1]
        among = self.settled or ready
        return known[0] if known else max(among, key=lambda c: c.clear, default=None)

    def _correct(self, reference: Candidate, image: NDArray[Any], candidate: Candidate) -> None:
        """Read a scene on the grid its shift asks for; keep that only where less is left."""
        found = candidate.shift or Offset(0.0, 0.0, 0.0)
        shift = metres(found, self.recipe)
        scene_id = candidate.scene.id
        before = self.store.files_of(scene_id)
        self.reader.keep_mask(candidate.scene, shift)
        names = self.reader.bands(candidate.scene, shift)
        left = self._measured(reference, image, candidate, shift)
        if left.confidence > 0 and left.size < found.size:
            candidate.left = left
            self.store.drop(before)
        else:
            mask = self.store.mask(scene_id)
            self.store.drop([*names, *([mask] if mask and mask not in before else [])])

    def _measured(
        self, reference: Candidate, image: NDArray[Any], candidate: Candidate, shift: Shift
    ) -> Offset:
        moving = self.reader.fine(candidate.scene, shift)
        if moving is None or reference.clear_pixels is None or candidate.clear_pixels is None:
            return Offset(0.0, 0.0, 0.0)
        clear = self.reader.on_target(reference.clear_pixels & candidate.clear_pixels)
        bands = min(4, len(image), len(moving))
        seen = clear & (image > 0).all(axis=0) & (moving > 0).all(axis=0)
        return coregister.measure(image[:bands], moving[:bands], seen)


def metres(offset: Offset, recipe: Recipe) -> Shift:
    """East and north, to the centimetre: what is written down is what was done."""
    size = recipe.sensor.resolution
    return round(offset.right * size, 2) + 0.0, round(-offset.down * size, 2) + 0.0


def pixels(east: float, north: float, confidence: float, recipe: Recipe) -> Offset:
    """The offset of a row of `scenes`, in pixels."""
    size = recipe.sensor.resolution
    return Offset(-north / size, east / size, confidence)
