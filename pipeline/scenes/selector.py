"""One site's scenes: searched and chosen, or read again as they were once chosen."""

import logging
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

import numpy as np
import pandas as pd

from pipeline.core import limits
from pipeline.core.errors import InputError, Unusable, WorkError
from pipeline.core.periods import Period
from pipeline.core.pools import pool
from pipeline.core.redaction import redacted
from pipeline.core.traffic import Traffic, counting
from pipeline.recipe import Recipe
from pipeline.scenes import alignment, radiometry, selection
from pipeline.scenes.alignment import Aligner
from pipeline.scenes.radiometry import WAVELENGTHS
from pipeline.scenes.reader import STILL, Reader
from pipeline.scenes.scene_table import Keys, Row, empty_row
from pipeline.scenes.selection import Candidate
from pipeline.scenes.status import CHOSEN, Status, fate
from pipeline.scenes.store import SceneStore
from pipeline.sensors.boa_offset import NOTHING_SAYS
from pipeline.sites.site import Site
from pipeline.sources.protocol import Scene, Source

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class SceneSelector:
    """One site's search, choice and reading."""

    def __init__(
        self, source: Source, recipe: Recipe, site: Site, store: SceneStore, keys: Keys, traffic: Traffic
    ) -> None:
        self.source, self.recipe, self.site, self.store = source, recipe, site, store
        self.keys, self.traffic = keys, traffic
        self.reader = Reader(source, recipe, site, store)
        self.aoi = site.aoi(self.reader.mask_grid)
        self.offsets: dict[str, tuple[int, str]] = {}
        """By scene the offset that is taken from its numbers, and what says so: where periods overlap, a
        scene of two of them has one file."""

    def select(self, periods: list[Period], frozen: list[Row]) -> list[Row]:
        """Search these periods, choose, and keep the chosen scenes' bands. Returns their rows.

        `frozen` are the rows of the site's other periods, already read: their scenes stay as they are
        and give the measure for offsets and shifts.
        """
        found = self._each(self.candidates, periods)
        rule = self.recipe.selection
        open_ = [c for group in found for c in group if not selection.reject_by_metadata(c, rule)]
        self._each(self._trying(lambda c: self.reader.keep_mask(c.scene)), open_)
        settled = [self._settled(row) for row in frozen if row["selected"] and row["status"] == CHOSEN.status]
        self.offsets |= {c.scene.id: (c.scene.offset, c.offset_from) for c in settled}
        unsettled = found
        while unsettled:
            for group in unsettled:
                self._choose(group)
            unread = [c for group in unsettled for c in group if c.selected]
            self._each(self._trying(self._read_bands), unread)
            self._decide_offsets([c for group in found for c in group if c.selected], settled)
            # Where a chosen scene turned out not to be usable, the next best takes its place.
            unsettled = [group for group in unsettled if selection.reopen(group, unread)]
        chosen = [c for group in found for c in group if c.selected]
        self._look_at_grids([group for group in found if len(group) > 1])
        aligner = Aligner(self.reader, settled)
        aligner.align(
            [c for c in chosen if c.selected], lambda read, items: self._each(self._trying(read), items)
        )
        chosen = [c for c in chosen if c.selected or (c.fate and c.fate.status == Status.NOT_READ)]
        kept = {c.scene.id for c in (*chosen, *settled)}
        self._release([c for group in found for c in group if c not in chosen], kept)
        return [
            row
            for period, group in zip(periods, found, strict=True)
            for row in ([self._row(period.label, c) for c in group] or [self._empty_row(period.label)])
        ]

    def _look_at_grids(self, groups: list[list[Candidate]]) -> None:
        """Note which chosen granules of a day were resampled from another grid than the site's."""
        for group in groups:
            chosen = [c for c in group if c.selected]
            days = [c.day for c in chosen]
            for candidate in chosen:
                if days.count(candidate.day) > 1:
                    candidate.on_grid = self.reader.is_on_grid(candidate.scene)

    def replay(self, frozen: list[Row]) -> list[Row]:
        """Read the chosen scenes of earlier rows once more; the rows, checked."""
        self._each(self._read_again, [row for row in frozen if row["selected"]])
        return frozen

    def candidates(self, period: Period) -> list[Candidate]:
        """All scenes of a period, in order of time."""
        first, last = self.site.search_window(period, self.recipe)
        scenes = self.source.search(self.site.geometry, first, last)
        return [self._candidate(scene) for scene in scenes]

    def _candidate(self, scene: Scene) -> Candidate:
        said = f"metadata, not compared ({scene.offset_from})" if scene.offset_from else ""
        if scene.is_doubtful and self.recipe.sensor.dtype != "uint16":
            scene = scene.with_offset(scene.offset)
        return Candidate(scene, scene.solar_day(self.site.place[0]), offset_from=said)

    def _choose(self, candidates: list[Candidate]) -> None:
        rule = self.recipe.selection
        self._each(
            lambda c: selection.measure(c, self.reader.classes(c.scene), self.aoi, rule),
            [c for c in candidates if c.is_open],
        )
        selection.choose(candidates, self.aoi, rule)
        for candidate in candidates:
            if not candidate.selected:
                candidate.clear_pixels = None

    def _release(self, rejected: list[Candidate], chosen: set[str]) -> None:
        """Let go of what was only read to choose: a rebuild from the table of scenes does without,
        and both are to end with the same files. Where periods overlap, one may choose what another
        rejects."""
        for scene_id in {candidate.scene.id for candidate in rejected} - chosen:
            self.store.used.difference_update(self.store.files_of(scene_id))

    def _settled(self, row: Row) -> Candidate:
        """A chosen scene of an earlier run, from its row and the pixels kept."""
        scene = Scene(
            row["scene_id"], row["datetime"].to_pydatetime(), {}, row["source"], row["level"],
            baseline=row["baseline"], offset=int(row["offset"]), href=row["href"],
        )  # fmt: skip
        day, said = date.fromisoformat(row["day"]), row["offset_from"]
        settled = Candidate(scene, day, clear=row["clear"], fate=CHOSEN, offset_from=said)
        if not np.isnan(row["dx"]):
            settled.shift = alignment.pixels(row["dx"], row["dy"], row["confidence"], self.recipe)
        shift = (row["dx"], row["dy"]) if row["corrected"] else STILL
        seen = self.reader.classes(scene, shift)
        settled.clear_pixels = selection.clear_pixels(seen, self.recipe.selection.clear)
        return settled

    def _read_bands(self, candidate: Candidate) -> None:
        """Keep a chosen scene's bands. Unusable where its numbers are none of reflectance."""
        if candidate.scene.is_doubtful and candidate.scene.id in self.offsets:
            offset, candidate.offset_from = self.offsets[candidate.scene.id]
            candidate.scene = candidate.scene.with_offset(offset)
        names = self.reader.bands(candidate.scene)
        if self.recipe.profile.is_reflectance and candidate.clear_pixels is not None:
            clear = self.reader.on_target(candidate.clear_pixels)
            bands, pixels = self.store.described_on(names, self.reader.grid.shape)
            if bands and (reason := radiometry.impossible(bands, pixels, clear, candidate.scene.offset)):
                raise Unusable(reason)

    def _decide_offsets(self, chosen: list[Candidate], settled: list[Candidate]) -> None:
        """Ask the pixels of doubtful scenes for their offset, and take it out."""
        doubtful = {c.scene.id: c for c in chosen if c.scene.is_doubtful}
        if not doubtful:
            return
        # A scene of two periods that overlap is a candidate in each.
        candidates = {name: [c for c in chosen if c.scene.id == name] for name in doubtful}
        bands = [band for band in self._fine_bands(next(iter(doubtful.values()))) if band in WAVELENGTHS]
        others = [c for c in (*settled, *chosen) if c.scene.id not in doubtful and c.offset_is_known]
        known = [date for c in others if (date := self._date(c, bands)) is not None]
        scenes = {name: date for name, c in doubtful.items() if (date := self._date(c, bands)) is not None}
        said = {name: c.scene.offset for name, c in doubtful.items() if c.scene.offset_from != NOTHING_SAYS}
        verdicts = radiometry.decide_all(scenes, known, bands, said)
        for name, scene in [(name, c.scene) for name, c in doubtful.items()]:
            offset, said_by = radiometry.weighed(scene, verdicts.get(name, radiometry.NOT_COMPARABLE))
            for candidate in candidates[name]:
                candidate.offset_from = said_by
            if doubtful[name].is_undecided and self.recipe.selection.offset == "skip":
                self._skip(candidates[name])
                continue
            self.offsets[name] = offset, said_by
            settled_scene = self.reader.settle(scene, offset)
            for candidate in candidates[name]:
                candidate.scene = settled_scene

    def _skip(self, candidates: list[Candidate]) -> None:
        """Leave out a scene whose offset nothing tells, in all its periods."""
        for candidate in candidates:
            candidate.fate = fate(Status.UNDECIDED, why=candidate.offset_from.removeprefix("undecided: "))
            self.store.drop(self.store.bands(candidate.scene.id))

    def _fine_bands(self, candidate: Candidate) -> list[str]:
        """The bands of a scene that are kept on the target grid."""
        names = self.store.bands(candidate.scene.id)
        return self.store.described_on(names, self.reader.grid.shape)[0]

    def _date(self, candidate: Candidate, bands: Sequence[str]) -> radiometry.Date | None:
        """What of a scene is compared; None where its level is another, or it lacks one of the bands."""
        if candidate.clear_pixels is None or candidate.scene.level != self.recipe.profile.level:
            return None
        names = self.store.bands(candidate.scene.id)
        own, pixels = self.store.described_on(names, self.reader.grid.shape)
        if not bands or not set(bands) <= set(own):
            return None
        clear = self.reader.on_target(candidate.clear_pixels)
        return radiometry.Date.thinned(pixels[[own.index(band) for band in bands]], clear)

    def _read_again(self, row: Row) -> None:
        """One chosen scene of an earlier table; what is wrong with it goes into its row."""
        row |= {"status": CHOSEN.status.value, "reason": CHOSEN.reason}
        try:
            scene = self.source.find(row["href"]).with_offset(int(row["offset"]))
            if scene.id != row["scene_id"]:
                raise WorkError(f"{row['href']} is now scene {scene.id}.")
            shift = (row["dx"], row["dy"]) if row["corrected"] else STILL
            self.reader.keep_mask(scene, shift)
            self.reader.bands(scene, shift)
            checksum = self.store.checksum(scene.id)
            if row["request"] != self.keys.request:
                row |= {"request": self.keys.request, "checksum": checksum}
            elif row["checksum"] != checksum:
                self.store.drop(self.store.files_of(scene.id))
                raise WorkError("its pixels have changed since it was chosen")
        except InputError:
            raise
        except WorkError as error:
            text = redacted(str(error)).rstrip(".")
            log.error("%s: %s", row["scene_id"], text)
            failed = fate(Status.NOT_READ, why=text)
            row |= {"status": failed.status.value, "reason": failed.reason}

    def _each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` on every item, as many at once as the source waits for."""
        if self.source.parallel == 1 or len(items) < 2:
            return [work(item) for item in items]

        def counted(item: Item) -> Result:
            with counting(self.traffic):
                return work(item)

        threads = pool("fetch", limits.threads_for(self.source.parallel))
        jobs = [threads.submit(counted, item) for item in items]
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
            except Unusable as error:
                candidate.fate = fate(Status.FLAWED, why=redacted(str(error)).rstrip("."))
                log.warning("%s: %s", candidate.scene.id, candidate.fate.reason)
            except WorkError as error:
                candidate.fate = fate(Status.NOT_READ, why=redacted(str(error)).rstrip("."))
                log.error("%s: %s", candidate.scene.id, candidate.fate.reason)

        return tried

    def _row(self, period: str, candidate: Candidate) -> Row:
        scene, decided = candidate.scene, candidate.fate or CHOSEN
        dx, dy = alignment.metres(candidate.shift, self.recipe) if candidate.shift else (np.nan, np.nan)
        left = alignment.metres(candidate.left, self.recipe) if candidate.left else (np.nan, np.nan)
        return {
            **self._empty_row(period),
            "scene_id": scene.id,
            "datetime": pd.Timestamp(scene.time),
            "source": scene.source,
            "level": scene.level,
            "cloud": candidate.cloud,
            "clear": candidate.clear,
            "selected": candidate.selected,
            "status": decided.status.value,
            "reason": decided.reason,
            "day": str(candidate.day),
            "day_clear": candidate.day_clear,
            "cloud_cover": np.nan if scene.cloud_cover is None else scene.cloud_cover,
            "baseline": scene.baseline,
            "offset": scene.offset,
            "offset_from": candidate.offset_from,
            "dated_by": scene.dated_by,
            "on_grid": candidate.on_grid,
            "dx": dx,
            "dy": dy,
            "confidence": candidate.shift.confidence if candidate.shift else np.nan,
            "dx_left": left[0],
            "dy_left": left[1],
            "corrected": candidate.left is not None,
            "href": scene.href,
            "checksum": self.store.checksum(scene.id) if candidate.selected else "",
        }

    def _empty_row(self, period: str) -> Row:
        return empty_row(self.site.site_id, period, self.keys.request, self.keys.choices[period])
