"""One site's scenes: searched and chosen, or found again as they were once chosen."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from pipeline.core import web
from pipeline.core.errors import InputError, WorkError
from pipeline.core.periods import Period
from pipeline.geo import geodesy
from pipeline.recipe import Recipe
from pipeline.scenes import coregister, radiometry, reader, selection
from pipeline.scenes.coregister import Offset
from pipeline.scenes.reader import STILL, Reader
from pipeline.scenes.selection import Candidate
from pipeline.scenes.store import Kept, Shift
from pipeline.sources.protocol import Source

log = logging.getLogger(__name__)
NOT_READ = "not read: "
"""How the reason of a scene begins that a later run tries again."""
Item = TypeVar("Item")
Result = TypeVar("Result")
ROW = {
    "site_id": "str", "period": "str", "scene_id": "str", "datetime": "datetime64[ms, UTC]",
    "source": "str", "level": "str", "cloud": "float64", "clear": "float64", "selected": "bool",
    "reason": "str", "day": "str", "day_clear": "float64", "cloud_cover": "float64",
    "baseline": "str", "offset": "int64", "offset_from": "str", "dated_by": "str",
    "dx": "float64", "dy": "float64", "confidence": "float64",
    "dx_left": "float64", "dy_left": "float64", "corrected": "bool",
    "href": "str", "request": "str", "choice": "str", "checksum": "str",
}  # fmt: skip
"""Columns of `scenes`. `cloud`, `clear` and `day_clear` are fractions of the AOI, NaN where the
scene was ruled out unread; `day` is the solar day; `cloud_cover` is the provider's, per cent;
`offset` was taken from the digital numbers, because of `offset_from`. `dx`, `dy` are metres east
and north of the site's reference, `confidence` from 0 to 1; `corrected` says that the scene was
read again on a grid so shifted, `dx_left`, `dy_left` what was then left. `href` finds the scene
again; `checksum` (SHA-256) is of its pixels for the bands and grid of `request`, chosen by the
rules of `choice`. A period without any scene has a row with an empty scene_id."""


class Chooser:
    """One site's search, choice and reading."""

    def __init__(
        self, source: Source, recipe: Recipe, site: Any, kept: Kept, prints: tuple[str, str],
        traffic: web.Traffic,
    ) -> None:  # fmt: skip
        self.source, self.recipe, self.site, self.kept = source, recipe, site, kept
        self.request, self.choice = prints
        self.traffic = traffic
        self.reader = Reader(source, recipe, site, kept)
        self.longitude, self.latitude = geodesy.centre(site.geometry)
        self.aoi = reader.aoi_pixels(site, self.reader.mask_grid)

    def anew(self) -> list[dict[str, Any]]:
        """Search every period, choose, and keep the chosen scenes' bands. Returns the rows."""
        periods = list(self.recipe.periods.periods())
        found = self._each(self.candidates, periods)
        rule = self.recipe.selection
        open_ = [c for group in found for c in group if not selection.reject_by_metadata(c, rule)]
        self._each(self._trying(lambda c: self.reader.keep_classes(c.scene)), open_)
        for group in found:
            self._choose(group)
        chosen = [c for group in found for c in group if c.selected]
        self._each(self._trying(lambda c: self.reader.bands(c.scene)), chosen)
        self._verify_offsets([c for c in chosen if not c.failure])
        self._align([c for c in chosen if not c.failure])
        self._release([c for group in found for c in group if not c.selected], {c.scene.id for c in chosen})
        return [
            row
            for period, group in zip(periods, found, strict=True)
            for row in ([self._row(period.label, c) for c in group] or [self._empty_row(period.label)])
        ]

    def again(self, frozen: pd.DataFrame) -> list[dict[str, Any]]:
        """Read the chosen scenes of an earlier table once more; its rows, checked."""
        records: list[dict[str, Any]] = frozen[list(ROW)].to_dict("records")
        chosen = [record for record in records if record["selected"]]
        self._each(self._read_again, chosen)
        return records

    def candidates(self, period: Period) -> list[Candidate]:
        """All scenes of a period, in order of time."""
        season = self.recipe.selection.season
        first, last = period.search_window(season.at(self.latitude) if season else None)
        scenes = self.source.search(self.site.geometry, first, last)
        return [Candidate(scene, scene.solar_day(self.longitude)) for scene in scenes]

    def _choose(self, candidates: list[Candidate]) -> None:
        rule = self.recipe.selection
        for candidate in candidates:
            if not candidate.reason and not candidate.failure:
                selection.measure(candidate, self.reader.classes(candidate.scene), self.aoi, rule)
        selection.choose(candidates, self.aoi, rule)
        for candidate in candidates:
            if not candidate.selected:
                candidate.clear_pixels = None

    def _release(self, rejected: list[Candidate], chosen: set[str]) -> None:
        """Let go of what was only read to choose: a rebuild from the table of scenes does without,
        and both are to end with the same files. Where periods overlap, one may choose what another
        rejects."""
        for scene_id in {candidate.scene.id for candidate in rejected} - chosen:
            own = [*self.kept.bands(scene_id), *filter(None, [self.kept.mask(scene_id)])]
            self.kept.used.difference_update(own)

    def _verify_offsets(self, chosen: list[Candidate]) -> None:
        """Check each scene's offset on its pixels, and read again where the metadata was wrong."""
        if self.source.mask_band is None or self.recipe.sensor.dtype != "uint16":
            return
        floors = {id(c): self._floor(c) for c in chosen}
        for candidate in chosen:
            floor = floors[id(candidate)]
            if floor is None:
                continue
            others = [f for key, f in floors.items() if f is not None and key != id(candidate)]
            offset, candidate.offset_from = radiometry.decide(floor, others)
            if offset != candidate.scene.offset:
                self.kept.drop(self.kept.bands(candidate.scene.id))
                candidate.scene = reader.with_offset(candidate.scene, offset)
                self._trying(lambda c: self.reader.bands(c.scene))(candidate)

    def _floor(self, candidate: Candidate) -> radiometry.Floor | None:
        scene, pixels = candidate.scene, self.reader.fine(candidate.scene)
        if pixels is None or candidate.clear_pixels is None or scene.level != "L2A":
            return None
        clear = self.reader.on_target(candidate.clear_pixels)
        return radiometry.floor(pixels, clear, scene.baseline, scene.offset)

    def _align(self, chosen: list[Candidate]) -> None:
        """Measure each scene's shift against the clearest one, and correct it by the recipe."""
        ready = [c for c in chosen if not c.failure and c.clear_pixels is not None]
        if len(ready) < 2:
            return
        reference = max(ready, key=lambda c: c.clear)
        reference.shift = Offset(0.0, 0.0, 1.0)
        image = self.reader.fine(reference.scene)
        if image is None:
            return
        for candidate in ready:
            if candidate is reference:
                continue
            candidate.shift = self._offset(reference, image, candidate, STILL)
            if self.recipe.selection.coregister and candidate.shift.is_worth_correcting:
                self._trying(lambda c: self._correct(reference, image, c))(candidate)

    def _correct(self, reference: Candidate, image: Any, candidate: Candidate) -> None:
        """Read a scene on the grid its shift asks for; keep that only where less is left."""
        assert candidate.shift is not None
        shift = self._metres(candidate.shift)
        old = [*self.kept.bands(candidate.scene.id), *filter(None, [self.kept.mask(candidate.scene.id)])]
        self.reader.keep_classes(candidate.scene, shift)
        names = self.reader.bands(candidate.scene, shift)
        left = self._offset(reference, image, candidate, shift)
        if left.confidence > 0 and left.size < candidate.shift.size:
            candidate.left = left
            self.kept.drop(old)
        else:
            moved_mask = [n for n in [self.kept.mask(candidate.scene.id)] if n and n not in old]
            self.kept.drop([*names, *moved_mask])

    def _offset(self, reference: Candidate, image: Any, candidate: Candidate, shift: Shift) -> Offset:
        moving = self.reader.fine(candidate.scene, shift)
        if moving is None or reference.clear_pixels is None or candidate.clear_pixels is None:
            return Offset(0.0, 0.0, 0.0)
        clear = self.reader.on_target(reference.clear_pixels & candidate.clear_pixels)
        bands = min(4, len(image), len(moving))
        seen = clear & (image > 0).all(axis=0) & (moving > 0).all(axis=0)
        return coregister.measure(image[:bands], moving[:bands], seen)

    def _metres(self, offset: Offset | None) -> Shift:
        """East and north, to the centimetre: what is written down is what was done."""
        if offset is None:
            return STILL
        size = self.recipe.sensor.resolution
        return round(offset.right * size, 2) + 0.0, round(-offset.down * size, 2) + 0.0

    def _read_again(self, record: dict[str, Any]) -> None:
        """One chosen scene of an earlier table; what is wrong with it goes into its row."""
        record["reason"] = ""
        try:
            scene = reader.with_offset(self.source.find(record["href"]), int(record["offset"]))
            if scene.id != record["scene_id"]:
                raise WorkError(f"{record['href']} is now scene {scene.id}.")
            shift = (record["dx"], record["dy"]) if record["corrected"] else STILL
            self.reader.keep_classes(scene, shift)
            self.reader.bands(scene, shift)
            checksum = self.kept.checksum(scene.id)
            if record["request"] != self.request:
                record |= {"request": self.request, "checksum": checksum}
            elif record["checksum"] != checksum:
                self.kept.drop([*self.kept.bands(scene.id), *filter(None, [self.kept.mask(scene.id)])])
                raise WorkError("its pixels have changed since it was chosen")
        except InputError:
            raise
        except WorkError as error:
            text = web.redacted(str(error)).rstrip(".")
            log.error("%s: %s", record["scene_id"], text)
            record["reason"] = f"{NOT_READ}{text}"

    def _each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` on every item, as many at once as the source waits for."""
        if self.source.parallel == 1 or len(items) < 2:
            return [work(item) for item in items]

        def counted(item: Item) -> Result:
            with web.counting(self.traffic):
                return work(item)

        jobs = [_pool(self.source.parallel).submit(counted, item) for item in items]
        try:
            return [job.result() for job in jobs]
        finally:
            for job in jobs:
                job.cancel()

    def _trying(self, work: Callable[[Candidate], object]) -> Callable[[Candidate], None]:
        """`work`, with its failure noted on the candidate: one scene does not stop the others."""

        def tried(candidate: Candidate) -> None:
            try:
                work(candidate)
            except InputError:
                raise
            except WorkError as error:
                candidate.failure = web.redacted(str(error)).rstrip(".")
                log.error("%s: %s", candidate.scene.id, candidate.failure)

        return tried

    def _row(self, period: str, candidate: Candidate) -> dict[str, Any]:
        scene, is_kept = candidate.scene, candidate.selected and not candidate.failure
        dx, dy = self._metres(candidate.shift) if candidate.shift else (np.nan, np.nan)
        left = self._metres(candidate.left) if candidate.left else (np.nan, np.nan)
        return {
            **self._empty_row(period),
            "scene_id": scene.id,
            "datetime": pd.Timestamp(scene.time),
            "source": scene.source,
            "level": scene.level,
            "cloud": candidate.cloud,
            "clear": candidate.clear,
            "selected": is_kept,
            "reason": f"{NOT_READ}{candidate.failure}" if candidate.failure else candidate.reason,
            "day": str(candidate.day),
            "day_clear": candidate.day_clear,
            "cloud_cover": np.nan if scene.cloud_cover is None else scene.cloud_cover,
            "baseline": scene.baseline,
            "offset": scene.offset,
            "offset_from": candidate.offset_from,
            "dated_by": scene.dated_by,
            "dx": dx,
            "dy": dy,
            "confidence": candidate.shift.confidence if candidate.shift else np.nan,
            "dx_left": left[0],
            "dy_left": left[1],
            "corrected": candidate.left is not None,
            "href": scene.href,
            "checksum": self.kept.checksum(scene.id) if is_kept else "",
        }

    def _empty_row(self, period: str) -> dict[str, Any]:
        """The row of a period for which the source has nothing."""
        empty: dict[str, Any] = dict.fromkeys(ROW, "")
        empty |= {name: np.nan for name, kind in ROW.items() if kind == "float64"}
        return empty | {
            "site_id": self.site.site_id,
            "period": period,
            "datetime": pd.NaT,
            "selected": False,
            "corrected": False,
            "offset": 0,
            "reason": "no scene was found",
            "request": self.request,
            "choice": self.choice,
        }


@lru_cache(maxsize=4)
def _pool(parallel: int) -> ThreadPoolExecutor:
    """Threads for all sites of this process. They live on, and with them their open connections and
    what GDAL and PROJ set up for each thread."""
    return ThreadPoolExecutor(parallel, thread_name_prefix="fetch")
