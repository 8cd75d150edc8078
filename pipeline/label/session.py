"""One site on the annotator's desk: its images, its regions, and every step that is taken.

Steps are in the journal before they are answered, and the annotation file follows. Whoever else labels the
same site, in this process or another, is seen at the next step; a step on what somebody else has changed
meanwhile, or the same person in another tab, is refused.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
import zarr
from numpy.typing import NDArray
from rasterio.features import rasterize

from minebench import index
from minebench.cube import store
from minebench.errors import InputError, NotMadeYet, WorkError, explained
from minebench.files import replacing, sha256
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from pipeline.cubes import annotate, cube
from pipeline.label import annotation_file, carry, edits, predicted, regions
from pipeline.label.carry import Proposal
from pipeline.label.edits import Codes, Edit, Labels
from pipeline.label.journal import FOLDER, Journal
from pipeline.label.regions import Regions
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

CLICKED, OUTLINED = "clicked", "drawn"
KEPT_REGIONS = 6
"""Hierarchies in memory: 40 MB each at 1,000 x 1,000 pixels."""


class Builds(Protocol):
    """What builds regions beside whoever asks, such as an Executor."""

    def submit(self, work: Callable[..., Any], /, *given: Any) -> Future[Any]: ...


class Overtaken(InputError):
    """What a step is about was changed after its page showed it."""


class Session:
    """See the module. `builder` builds regions beside the server, which answers meanwhile; `folder` is where
    labels go."""

    def __init__(
        self, benchmark: BenchmarkPaths, recipe: Recipe, site: Site, builder: Builds, folder: Path
    ) -> None:
        self.benchmark, self.recipe, self.site, self.builder = benchmark, recipe, site, builder
        self.cube = benchmark.cube(site.site_id)
        if not store.periods_of(self.cube):
            raise NotMadeYet(f"{self.cube} holds no image: run `minebench compose` first.")
        self.path = folder / f"{site.site_id}.gpkg"
        self.journal = Journal(folder / FOLDER / f"{site.site_id}.jsonl", site.shape)
        self.lock = threading.RLock()
        self.hierarchies: OrderedDict[tuple[str, ...], Future[Regions]] = OrderedDict()
        self.open: dict[str, dict[int, Proposal]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self._take_over()

    @cached_property
    def periods(self) -> list[str]:
        return store.periods_of(self.cube)

    @cached_property
    def subjects(self) -> list[str]:
        return subjects_of(self.cube, self.recipe)

    def image(self, period: str) -> NDArray[Any]:
        """A period's image (band, y, x), 0 where there is no data. InputError where there is none."""
        if period not in self.periods:
            raise InputError(f"{self.site.site_id} has no image of '{period}'.")
        return cube.images(self.cube, self.recipe, self.periods.index(period))

    def _has_data(self, period: str, image: NDArray[Any]) -> NDArray[np.bool_]:
        """Where a period's image (band, y, x) has data (y, x): in pictures black is a colour."""
        if not self.recipe.sensor.encoding.is_picture:
            return np.asarray((image > 0).all(axis=0))
        clear = cube.array_of(zarr.open_group(self.cube, mode="r"), "clear")
        return cube.has_data(image, np.asarray(clear[self.periods.index(period)]))

    def regions(self, *periods: str) -> Regions:
        """The regions of an image, or of several stacked."""
        found = self._begun(periods)
        try:
            return found.result()
        except (BrokenExecutor, MemoryError):
            with self.lock:
                self.hierarchies.pop(periods, None)
            raise WorkError(
                f"The regions of {' and '.join(periods)} could not be built; the site may be too large for "
                "this machine's memory. Draw outlines instead."
            ) from None

    def _begun(self, periods: tuple[str, ...]) -> Future[Regions]:
        """The building of regions, which is asked for once."""
        with self.lock:
            if periods not in self.hierarchies:
                places = [self.periods.index(period) for period in periods]
                self.hierarchies[periods] = self.builder.submit(_regions_of, self.cube, self.recipe, places)
            self.hierarchies.move_to_end(periods)
            while len(self.hierarchies) > KEPT_REGIONS:
                self.hierarchies.popitem(last=False)
            return self.hierarchies[periods]

    def prepare(self, subject: str) -> None:
        """Begin to build what the next date will need."""
        place = self.subjects.index(subject)
        for near in self.subjects[place + 1 : place + 2]:
            self._begun(tuple(near.split("|")))

    def preview(self, subject: str, row: int, column: int, area: float, stacked: bool) -> dict[str, Any]:
        """The region under the pointer: its rings, its pixels, and those of the next coarser and finer."""
        tree, found = self._region(subject, row, column, area, stacked)
        own = tree.pixels(found)
        return {
            "rings": regions.outline(own, tree.shape),
            "area": len(own),
            "coarser": tree.coarser(found),
            "finer": tree.finer(row, column, len(own)),
            **self._would_change(subject, own),
        }

    def _would_change(self, subject: str, own: NDArray[np.int64]) -> dict[str, Any]:
        """What a click on a region (places in C order) would do: take in what is not in, or, where most of
        it is in already, take out what is."""
        inside = self.journal.labels.of(subject).ravel()[own] > 0
        joins = bool(inside.mean() < 0.5)
        changes = own[inside != joins]
        return {
            "joins": joins,
            "pixels": len(changes),
            "changes": regions.outline(changes, self.site.shape),
        }

    def _region(self, subject: str, row: int, column: int, area: float, stacked: bool) -> tuple[Regions, int]:
        """The region around a pixel, and those it is one of. InputError beside the image."""
        self._check(subject)
        height, width = self.site.shape
        if not (0 <= row < height and 0 <= column < width):
            raise InputError(f"Row {row}, column {column} lies beside the image.")
        tree = self.regions(*self._seen_in(subject, stacked))
        return tree, tree.at(row, column, area)

    def state(self) -> dict[str, Any]:
        """What everybody who labels the site should know."""
        with self.lock:
            self._refresh()
            labels = self.journal.labels
            return {
                "version": self.journal.lines,
                "marks": {subject: labels.mark(subject) for subject in self.subjects},
            }

    def label(self, subject: str) -> dict[str, Any]:
        """A subject's label: rings, mark, and what is proposed."""
        self._check(subject)
        with self.lock:
            self._refresh()
            labels = self.journal.labels
            mask = (labels.of(subject) > 0).astype(np.uint8)
            return {
                "version": self.journal.lines,
                **self._changed_last(subject),
                "mark": labels.mark(subject),
                "rings": regions.rings(mask),
                "pixels": int(mask.sum()),
                "proposals": [
                    {
                        "number": number,
                        "rings": regions.outline(proposal.pixels, self.site.shape),
                        "joins": proposal.joins,
                        "sureness": round(proposal.sureness, 2),
                    }
                    for number, proposal in self.open.get(subject, {}).items()
                ],
            }

    def _changed_last(self, subject: str) -> dict[str, Any]:
        """The journal's line about a subject that came last, 0 where there is none, and whose it is."""
        lines = enumerate(self.journal.touched, 1)
        line, by = max(((n, by) for n, (about, by) in lines if about == subject), default=(0, ""))
        return {"changed": line, "by": by}

    def click(
        self, subject: str, row: int, column: int, area: float, stacked: bool, adds: bool, **told: Any
    ) -> None:
        """Take the region around a pixel in, or out."""
        tree, found = self._region(subject, row, column, area, stacked)
        self._change(subject, CLICKED, tree.pixels(found), adds, **told)

    def draw(self, subject: str, rings: list[list[list[float]]], adds: bool, **told: Any) -> None:
        """Take in, or out, what an outline (rings of [column, row]; holes after their outer ring) holds."""
        try:
            outline = shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))
        except (ValueError, shapely.errors.GEOSException):
            raise InputError("An outline needs a ring of three corners or more.") from None
        if not outline.area:
            raise InputError("This outline holds no ground: it needs three corners that are no line.")
        self._change(subject, OUTLINED, np.flatnonzero(rasterize([outline], self.site.shape)), adds, **told)

    def carry(self, subject: str, source: str, **told: Any) -> None:
        """The label of another date, with the surest of what changed; the rest is proposed."""
        self._check(subject)
        footprint = self._labelled(source).of(source) > 0
        if self.recipe.labels.kind == "change":
            raise InputError("Change between two dates is not carried on: label each pair by itself.")
        earlier, later = sorted([source, subject], key=self.subjects.index)
        stacked = self.regions(earlier, later)
        known, other = self.image(source), self.image(subject)
        has_data = self._has_data(source, known) & self._has_data(subject, other)
        found = carry.proposals(known, footprint, other, stacked, has_data)
        result, asked = carry.carried(footprint, found)
        self._replace(subject, f"carried from {source}", result, **told)
        self.open[subject] = dict(enumerate(asked))

    def _labelled(self, source: str) -> Labels:
        """The labels, up to date. InputError where a date has none yet."""
        self._check(source)
        with self.lock:
            self._refresh()
        if self.journal.labels.mark(source) not in {edits.DRAWN, edits.NOTHING}:
            raise InputError(f"{source} is not labelled yet: label it first, then carry it on.")
        return self.journal.labels

    def answer(self, subject: str, proposal: int, accept: bool, **told: Any) -> None:
        """Take a proposal, or drop it."""
        with self.lock:
            self._refresh()
            self._check_seen(subject, **told)
        one = self.open.get(subject, {}).get(proposal)
        if one is None:
            raise InputError(f"{subject} has no proposal {proposal} (any more).")
        if accept:
            self._change(subject, CLICKED, one.pixels, one.joins, **told)
        self.open[subject].pop(proposal, None)

    def same(self, subject: str, source: str, **told: Any) -> None:
        """The label of another date, as it is."""
        labels = self._labelled(source)
        own = labels.of(source) > 0
        self._replace(subject, f"same as {source}", own, mark=labels.mark(source), **told)

    def predicted(self, run: str, subject: str, threshold: int) -> dict[str, Any]:
        """What a trained run would outline at a threshold (per cent)."""
        found = self._outlined_by(run, subject, threshold)
        return {"rings": regions.rings(found.astype(np.uint8)), "pixels": int(found.sum())}

    def model(self, subject: str, run: str, threshold: int, **told: Any) -> None:
        """The outline of a trained run at a threshold (per cent), in place of what is there."""
        self._replace(subject, f"model:{run}", self._outlined_by(run, subject, threshold), **told)

    def _outlined_by(self, run: str, subject: str, threshold: int) -> NDArray[np.bool_]:
        self._check(subject)
        if not 1 <= threshold <= 100:
            raise InputError(f"A threshold lies between 1 and 100 per cent, not at {threshold}.")
        percent = predicted.percent(self.benchmark, run, self.site.site_id, subject)
        return (percent >= threshold) & (percent != predicted.NODATA)

    def set_mark(self, subject: str, mark: str, **told: Any) -> None:
        """Say of a date that there is nothing, that it cannot be seen, that it is labelled as it stands, or
        that it is open."""
        if mark not in edits.MARKS:
            raise InputError(f"'{mark}' is no mark: use {', '.join(edits.MARKS)}.")
        kept = np.uint8(mark == edits.DRAWN)
        self._edit(subject, "marked", lambda codes, _: codes * kept, mark=mark, **told)

    def undo(self, by: str, seen: int) -> str:
        """Take back the last step of `by`; the subject it was about."""
        return self._back(by, seen, Labels.last, Journal.undo, "There is nothing to undo.")

    def redo(self, by: str, seen: int) -> str:
        """Do again what `by` undid last; the subject it is about."""
        return self._back(by, seen, Labels.next, Journal.redo, "There is nothing to do again.")

    def _back(
        self,
        by: str,
        seen: int,
        find: Callable[[Labels, str], int | None],
        do: Callable[[Journal, int, str, str], None],
        none: str,
    ) -> str:
        with self._writing() as journal:
            labels = journal.labels
            number = find(labels, by)
            if number is None:
                raise InputError(none)
            self._check_seen(labels.steps[number].subject, by, seen)
            if other := labels.touched_since(number, by):
                raise Overtaken(
                    f"{other} has changed {labels.steps[number].subject} since: look at it first."
                )
            do(journal, number, by, _now())
            # They were about what the label was.
            self.open.pop(labels.steps[number].subject, None)
            return self._saved(number)

    def _replace(self, subject: str, how: str, mask: NDArray[np.bool_], **told: Any) -> None:
        """A label in place of what is there; what was proposed for that goes."""
        self._edit(subject, how, lambda _, code: np.where(mask, np.uint8(code), np.uint8(0)), **told)
        self.open.pop(subject, None)

    def _change(self, subject: str, how: str, pixels: NDArray[np.int64], adds: bool, **told: Any) -> None:
        def wanted(codes: Codes, code: int) -> Codes:
            changed = codes.copy()
            flat = changed.ravel()
            own = flat[pixels]
            # What is in already stays what it was made by.
            flat[pixels] = np.where(own > 0, own, np.uint8(code)) if adds else 0
            return changed

        self._edit(subject, how, wanted, **told)

    def _edit(
        self, subject: str, how: str, wanted: Callable[[Codes, int], Codes], by: str, seconds: float,
        seen: int, mark: str = edits.DRAWN,
    ) -> None:  # fmt: skip
        self._check(subject)
        with self._writing() as journal:
            labels = journal.labels
            self._check_seen(subject, by, seen)
            codes = labels.of(subject)
            runs = edits.changed(codes, wanted(codes, labels.code(how)))
            if not runs and mark == labels.mark(subject):
                return
            was = labels.mark(subject)
            self._saved(journal.add(Edit(subject, how, runs, (was, mark), by, _now(), round(seconds, 1))))

    def _check_seen(self, subject: str, by: str, seen: int, **_: Any) -> None:
        """Overtaken where a subject was changed after the journal's line `seen`, by whomever: a person may
        have two tabs."""
        if seen > self.journal.lines:
            raise Overtaken(
                f"The labels of {self.site.label} were put back meanwhile: look at them, then go on."
            )
        for about, who in self.journal.touched[seen:]:
            if about == subject:
                other = f"{who}, in another tab," if who == by else who
                raise Overtaken(f"{other} has changed {subject} meanwhile: look at it, then go on.")

    def _saved(self, number: int) -> str:
        """Bring the annotation file up to the journal; the subject of the step."""
        subject = self.journal.labels.steps[number].subject
        self.rows.pop(subject, None)
        try:
            self._write()
        except OSError as error:
            reason = explained(error) or error
            raise WorkError(
                f"The step is kept, but {self.path} could not be written: {str(reason).rstrip('.')}. "
                "It follows with the next step."
            ) from None
        return subject

    def _write(self) -> None:
        labels, column = self.journal.labels, self.recipe.labels.column
        for subject in self.subjects:
            if subject not in self.rows:
                self.rows[subject] = annotation_file.rows_of(self.site, labels, subject, column)
        annotation_file.write(self.path, self.site, [row for s in self.subjects for row in self.rows[s]])
        with replacing(self._note) as temporary:
            temporary.write_text(f"{self._digest()} {self.journal.lines}")

    @property
    def _note(self) -> Path:
        """Holds the checksum of the annotation file as it was saved here, and how long the journal was."""
        return self.journal.path.with_suffix(".saved")

    def _digest(self) -> str:
        return sha256(self.path) if self.path.is_file() else "none"

    def _refresh(self) -> None:
        """Take in what others wrote; their rows are not those that are held here."""
        before = self.journal.lines
        self.journal.refresh()
        if self.journal.lines != before:
            self.rows.clear()

    @contextmanager
    def _writing(self) -> Iterator[Journal]:
        """Alone with the journal, and up to date."""
        with self.lock:
            before = self.journal.lines
            with self.journal.writing() as journal:
                if journal.lines != before:
                    self.rows.clear()
                yield journal

    def _is_saved(self) -> tuple[bool, bool]:
        """Whether the annotation file is as it was saved here, or is not there; and whether it has the whole
        journal."""
        told = self._note.read_text().split() if self._note.is_file() else []
        saved, lines = told if len(told) == 2 else ("none", "0")
        given = self._digest()
        return given in {saved, "none"}, given == saved and lines == str(self.journal.lines)

    def _take_over(self) -> None:
        """What the annotation file says where it was not saved here, such as after an hour in QGIS. Just to
        look at a site changes nothing."""
        self.journal.refresh()
        if self._is_saved() == (True, True):
            return
        with self._writing():
            is_own, is_whole = self._is_saved()
            if is_own:
                if not is_whole:
                    self._write()  # a kill came between the journal and the file
                return
            rows = annotate.read_file(self.path, self.recipe)
            found = annotate.masks_in(rows, self.site, self.recipe, self.subjects)
            for subject, mask in found.items():
                self._import(subject, mask)
            self._write()

    def _import(self, subject: str, mask: NDArray[np.uint8]) -> None:
        labels, how = self.journal.labels, f"from {self.path.name}"
        codes = labels.of(subject)
        if (mask == UNKNOWN).all():
            mark, wanted = edits.OPEN if labels.mark(subject) != edits.UNSEEN else edits.UNSEEN, codes * 0
        else:
            mark = edits.DRAWN if mask.any() else edits.NOTHING
            wanted = np.where(mask == 1, np.where(codes > 0, codes, np.uint8(labels.code(how))), np.uint8(0))
        runs = edits.changed(codes, wanted)
        if runs or mark != labels.mark(subject):
            self.journal.add(Edit(subject, how, runs, (labels.mark(subject), mark), "file", _now()))

    def _check(self, subject: str) -> None:
        if subject not in self.subjects:
            raise InputError(f"{self.site.site_id} has nothing called '{subject}' to label.")

    def _seen_in(self, subject: str, stacked: bool) -> tuple[str, ...]:
        """The periods whose regions are clicked: a pair's two, a date's own, or with the one before it."""
        if "|" in subject:
            return tuple(subject.split("|"))
        place = self.periods.index(subject)
        return (self.periods[place - 1], subject) if stacked and place else (subject,)


def subjects_of(path: Path, recipe: Recipe) -> list[str]:
    """What is labelled of a cube: its periods, or pairs of them where change is."""
    periods = store.periods_of(path)
    if recipe.labels.kind == "footprint":
        return periods
    return [f"{periods[i]}|{periods[j]}" for i, j in index.wanted(periods, recipe.pairs)]


def _regions_of(path: Path, recipe: Recipe, places: list[int]) -> Regions:
    """The regions of some of a cube's images stacked; read by whoever builds them."""
    return regions.build(np.concatenate([cube.images(path, recipe, place) for place in places]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
