"""What annotators did to one site's labels, step by step: every step can be undone and done again.

A label belongs to a `subject`: a period (`2019`), or a pair of them (`2018|2019`) where change itself is
labelled. Its pixels (y, x) are 0, or one more than the place in `made` of how they came to be footprint.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minebench.errors import InputError

OPEN, DRAWN, NOTHING, UNSEEN = "open", "labelled", "nothing", "unseen"
MARKS = (OPEN, DRAWN, NOTHING, UNSEEN)
"""Not labelled yet; labelled; there is nothing to outline; it cannot be seen, which stays unknown."""
Codes = NDArray[np.uint8]


class Run(NamedTuple):
    """So many pixels from `start` on (C order), which were one code and are now another."""

    start: int
    length: int
    was: int
    now: int


@dataclass(frozen=True)
class Edit:
    """One step. `how` is `clicked`, `drawn`, `carried from 2018` and the like; `seconds` is the time spent on
    it."""

    subject: str
    how: str
    runs: tuple[Run, ...]
    mark: tuple[str, str]
    by: str
    at: str
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "runs": [list(run) for run in self.runs], "mark": list(self.mark)}

    @classmethod
    def of_json(cls, given: dict[str, Any]) -> "Edit":
        runs = tuple(Run(*map(int, run)) for run in given["runs"])
        was, now = given["mark"]
        return cls(
            given["subject"], given["how"], runs, (was, now), given["by"], given["at"], given["seconds"]
        )


@dataclass
class Labels:
    """A site's labels as they stand, and all steps that led there, the undone ones too."""

    shape: tuple[int, int]
    codes: dict[str, Codes] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    steps: list[Edit] = field(default_factory=list)
    undone: set[int] = field(default_factory=set)
    again: dict[str, list[int]] = field(default_factory=dict)
    """By annotator what they undid since their last new step, the latest last."""

    def of(self, subject: str) -> Codes:
        """A subject's pixels (y, x); not to be written to."""
        return self.codes.setdefault(subject, np.zeros(self.shape, np.uint8))

    def mark(self, subject: str) -> str:
        return self.marks.get(subject, OPEN)

    def code(self, how: str) -> int:
        """The code of a way to make a label; of a new one the code it will have."""
        if how in self.made:
            return self.made.index(how) + 1
        if len(self.made) == 255:
            raise InputError("A site's labels can be made in 255 ways at most; these are more.")
        return len(self.made) + 1

    def take(self, edit: Edit) -> int:
        """Do a step; its number."""
        if edit.how not in self.made:
            self.made.append(edit.how)
        self._apply(edit)
        self.steps.append(edit)
        self.again.pop(edit.by, None)
        return len(self.steps) - 1

    def undo(self, number: int) -> None:
        """Take a step back."""
        edit = self.steps[number]
        pixels = self.of(edit.subject).ravel()
        for run in edit.runs:
            pixels[run.start : run.start + run.length] = run.was
        self.marks[edit.subject] = edit.mark[0]
        self.undone.add(number)
        self.again.setdefault(edit.by, []).append(number)

    def redo(self, number: int) -> None:
        """Do a step that was undone again."""
        self._apply(self.steps[number])
        self.undone.discard(number)
        self.again[self.steps[number].by].remove(number)

    def _apply(self, edit: Edit) -> None:
        pixels = self.of(edit.subject).ravel()
        for run in edit.runs:
            pixels[run.start : run.start + run.length] = run.now
        self.marks[edit.subject] = edit.mark[1]

    def last(self, by: str) -> int | None:
        """The step that `by` would undo: their latest one that stands."""
        stands = [n for n, edit in enumerate(self.steps) if n not in self.undone and edit.by == by]
        return stands[-1] if stands else None

    def next(self, by: str) -> int | None:
        """The step that `by` would do again: the one they undid last, if nothing new came since."""
        waiting = self.again.get(by)
        return waiting[-1] if waiting else None

    def touched_since(self, number: int, by: str) -> str | None:
        """Who else changed the subject of a step after it; None where nobody did."""
        subject = self.steps[number].subject
        later = [e for n, e in enumerate(self.steps) if n > number and n not in self.undone]
        return next((e.by for e in later if e.subject == subject and e.by != by), None)


def changed(codes: Codes, wanted: Codes) -> tuple[Run, ...]:
    """The runs of pixels that differ, from `codes` to `wanted`; one run has one code before and one after."""
    was, now = codes.ravel(), wanted.ravel()
    places = np.flatnonzero(was != now)
    if not places.size:
        return ()
    breaks = (np.diff(places) != 1) | (np.diff(was[places]) != 0) | (np.diff(now[places]) != 0)
    starts = np.r_[0, np.flatnonzero(breaks) + 1]
    lengths = np.diff(np.r_[starts, places.size])
    return tuple(
        Run(int(places[s]), int(n), int(was[places[s]]), int(now[places[s]]))
        for s, n in zip(starts, lengths, strict=True)
    )
