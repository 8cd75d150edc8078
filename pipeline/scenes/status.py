"""What became of a candidate scene: a word for the table, and a sentence for people."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The column `status` of `scenes`."""

    CHOSEN = "chosen"
    NONE_FOUND = "none_found"
    FLAWED = "flawed"
    EXCLUDED = "excluded"
    CLOUDY = "cloudy"
    NO_DATA = "no_data"
    NOT_CLEAR = "not_clear"
    OTHER_CLEARER = "other_clearer"
    COMPOSITE_FULL = "composite_full"
    OTHER_LEVEL = "other_level"
    NOT_READ = "not_read"
    UNDECIDED = "undecided"


SENTENCES = {
    Status.CHOSEN: "",
    Status.NONE_FOUND: "no scene was found",
    Status.FLAWED: "not used: {why}",
    Status.EXCLUDED: "listed in selection.exclude",
    Status.CLOUDY: "cloud cover of the scene is {cover:.0f} %, more than {limit:g} %",
    Status.NO_DATA: "no data over the AOI",
    Status.NOT_CLEAR: "only {clear:.0%} of the AOI is clear, less than {limit:.0%}",
    Status.OTHER_CLEARER: "{day} is clearer, or as clear and {before}",
    Status.COMPOSITE_FULL: "the composite has {limit} clearer days",
    Status.OTHER_LEVEL: "scenes of a higher level are clear enough",
    Status.NOT_READ: "not read: {why}",
    Status.UNDECIDED: "whether it carries the offset of baseline 04.00 cannot be told: {why}",
}
"""The column `reason` of `scenes`."""
TITLES = {
    Status.CHOSEN: "chosen",
    Status.NONE_FOUND: "no scene found in a period",
    Status.FLAWED: "unusable",
    Status.EXCLUDED: "excluded by the recipe",
    Status.CLOUDY: "cloud cover of the scene over the limit",
    Status.NO_DATA: "no data over the AOI",
    Status.NOT_CLEAR: "too little of the AOI clear",
    Status.OTHER_CLEARER: "another day is clearer",
    Status.COMPOSITE_FULL: "composite full of clearer days",
    Status.OTHER_LEVEL: "scenes of a higher level are clear enough",
    Status.NOT_READ: "could not be read",
    Status.UNDECIDED: "offset undecided",
}
"""For counts by status."""


@dataclass(frozen=True)
class Fate:
    """A status with what its sentence names."""

    status: Status
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def reason(self) -> str:
        return SENTENCES[self.status].format(**dict(self.parameters))


def fate(status: Status, **parameters: Any) -> Fate:
    """What became of a scene."""
    return Fate(status, tuple(parameters.items()))


CHOSEN = Fate(Status.CHOSEN)
