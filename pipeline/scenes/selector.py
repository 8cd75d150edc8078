"""One site's scenes: searched and chosen, or read again as they were once chosen."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import numpy as np
import pandas as pd

from minebench.errors import InputError, Unusable, WorkError, redacted
from minebench.periods import Period
from pipeline.core import limits
from pipeline.core.limits import Traffic, counting
from pipeline.core.threads import pool
from pipeline.recipe import Recipe
from pipeline.scenes import alignment, gaps, radiometry, selection
from pipeline.scenes.alignment import Aligner
from pipeline.scenes.radiometry import WAVELENGTHS
from pipeline.scenes.reader import STILL, Reader
from pipeline.scenes.scene_table import Keys, Row, empty_row
from pipeline.scenes.selection import Candidate
from pipeline.scenes.status import CHOSEN, Status, fate
from pipeline.scenes.store import SceneStore, check_names
from pipeline.sensors.boa_offset import NOTHING_SAYS
from pipeline.sites.site import Site
from pipeline.sources.opened import Opened
from pipeline.sources.protocol import Scene

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False)
class Choice:
    """A period with the scenes that it is chosen from. `further` has what the sources after the first list,
    by their place, as far as they were asked."""

    period: Period
    candidates: list[Candidate]
    further: dict[int, list[Candidate]] = field(default_factory=dict)

    @property
    def chosen(self) -> list[Candidate]:
        """The scenes that make its image."""
        return [candidate for candidate in self.candidates if candidate.selected]


class SceneSelector:
    """One site's search, choice and reading."""

    def __init__(
        self, source: Opened, recipe: Recipe, site: Site, store: SceneStore, keys: Keys, traffic: Traffic
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
        choices = self._each(self._first_choice, periods)
        scenes = [candidate.scene for choice in choices for candidate in choice.candidates]
        check_names(scenes)
        self._look([candidate for choice in choices for candidate in choice.candidates])
        settled = [self._settled(row) for row in frozen if row["selected"] and row["status"] == CHOSEN.status]
        self.offsets |= {c.scene.id: (c.scene.offset, c.offset_from) for c in settled}
        unsettled = choices
        while unsettled:
            for choice in unsettled:
                self._choose(choice)
            unread = [c for choice in unsettled for c in choice.chosen]
            self._each(self._trying(self._read_bands), unread)
            self._decide_offsets([c for choice in choices for c in choice.chosen], settled)
            # Where a chosen scene turned out not to be usable, the next best takes its place.
            unsettled = [choice for choice in unsettled if selection.reopen(choice.candidates, unread)]
        chosen = [c for choice in choices for c in choice.chosen]
        for choice in choices:
            self._look_at_grids(choice.chosen)
        self._align([c for c in chosen if c.selected], settled)
        chosen = [c for c in chosen if c.selected or (c.fate and c.fate.status == Status.NOT_READ)]
        kept = {c.scene.id for c in (*chosen, *settled)}
        self._release([c for choice in choices for c in choice.candidates if c not in chosen], kept)
        return [row for choice in choices for row in self._rows(choice)]

    def _align(self, chosen: list[Candidate], settled: list[Candidate]) -> None:
        """Measure the shifts of chosen scenes, and correct them where the recipe says so. A scene that
        cannot be read anew is no longer selected."""
        aligner = Aligner(self.reader, settled)
        anchor = aligner.anchor(chosen)
        if anchor is None:
            return
        shifted = aligner.measure(anchor, chosen)
        if self.recipe.selection.coregister:
            self._each(self._trying(lambda candidate: aligner.correct(anchor, candidate)), shifted)

    def _look_at_grids(self, chosen: list[Candidate]) -> None:
        """Note which of a period's chosen granules of one day were resampled from another grid than the
        site's."""
        days = [candidate.day for candidate in chosen]
        for candidate in chosen:
            if days.count(candidate.day) > 1:
                candidate.on_grid = self.reader.is_on_grid(candidate.scene)

    def replay(self, frozen: list[Row]) -> list[Row]:
        """Read the chosen scenes of earlier rows once more; the rows, checked."""
        self._each(self._read_again, [row for row in frozen if row["selected"]])
        return frozen

    def _first_choice(self, period: Period) -> Choice:
        """A period with all scenes of the first source."""
        return Choice(period, self._listed(period, 0))

    def _listed(self, period: Period, place: int) -> list[Candidate]:
        """A period's scenes of the source at a place of the list, in order of time."""
        first, last = self.site.search_window(period, self.recipe)
        scenes = self.source.listed(self.source.labels[place], self.site.geometry, first, last)
        return [self._candidate(scene) for scene in scenes]

    def _look(self, candidates: list[Candidate]) -> None:
        """Rule out what metadata rule out, and keep the masks of all others."""
        rule = self.recipe.selection
        open_ = [c for c in candidates if not selection.reject_by_metadata(c, rule)]
        self._each(self._trying(lambda c: self.reader.keep_mask(c.scene)), open_)

    def _candidate(self, scene: Scene) -> Candidate:
        said = f"metadata, not compared ({scene.offset_from})" if scene.offset_from else ""
        if scene.is_doubtful and self.recipe.sensor.encoding.scale is None:
            scene = scene.with_offset(scene.offset)
        return Candidate(scene, scene.solar_day(self.site.place[0]), offset_from=said)

    def _choose(self, choice: Choice) -> None:
        """Choose a period's scenes. As long as the period lacks something, ask the next source and choose
        again."""
        self._compare(choice)
        for place in range(1, len(self.source.labels)):
            gap = gaps.of_candidates(choice.candidates, self.aoi, self.recipe)
            if not gap:
                break
            if place not in choice.further:
                choice.further[place] = self._listed(choice.period, place)
            self._add([c for c in choice.further[place] if gap.takes(c.day)], choice)
        for candidate in choice.candidates:
            if not candidate.selected:
                candidate.clear_pixels = None

    def _add(self, candidates: list[Candidate], choice: Choice) -> None:
        """Choose a period's scenes from those of a further source as well. A scene that has the id of one
        that cannot be used takes its place."""
        lost = {c.scene.id for c in choice.candidates if c.is_lost}
        usable = {c.scene.id for c in choice.candidates} - lost
        more = [c for c in candidates if c not in choice.candidates and c.scene.id not in usable]
        if not more:
            return
        check_names([candidate.scene for candidate in more])
        for scene_id in lost & {candidate.scene.id for candidate in more}:
            self.store.drop(self.store.files_of(scene_id))
        self._look(more)
        choice.candidates += more
        selection.open_again(choice.candidates)
        self._compare(choice)

    def _compare(self, choice: Choice) -> None:
        """Measure a period's open scenes and choose from them."""
        rule, candidates = self.recipe.selection, choice.candidates
        self._each(
            lambda c: selection.measure(c, self.reader.classes(c.scene), self.aoi, rule),
            [c for c in candidates if c.is_open],
        )
        window = self.site.search_window(choice.period, self.recipe)
        selection.choose(candidates, self.aoi, rule, window)

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
            scene = self.source.find(row["source"], row["href"]).with_offset(int(row["offset"]))
            if scene.id != row["scene_id"]:
                raise WorkError(f"{row['href']} is now scene {scene.id}.")
            shift = (row["dx"], row["dy"]) if row["corrected"] else STILL
            self.reader.keep_mask(scene, shift)
            self.reader.bands(scene, shift)
            checksum = self.store.checksum(scene.id)
            if row["request"] != (request := self.keys.request_of(scene.source)):
                row |= {"request": request, "checksum": checksum}
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

    def _rows(self, choice: Choice) -> list[Row]:
        """A period's rows of the table of scenes, in order of time."""
        ordered = sorted(choice.candidates, key=lambda c: (c.scene.time, c.scene.id))
        label = choice.period.label
        return [self._row(label, candidate) for candidate in ordered] or [self._empty_row(label)]

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
            "request": self.keys.request_of(scene.source),
            "checksum": self.store.checksum(scene.id) if candidate.selected else "",
        }

    def _empty_row(self, period: str) -> Row:
        request = self.keys.request_of(self.source.labels[0])
        return empty_row(self.site.site_id, period, request, self.keys.choices[period])
