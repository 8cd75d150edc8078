"""What a check saw, and a row of the table."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`ok` is never said of what was not looked at."""

    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Seen:
    """What was seen, in words, and whether it is what was expected."""

    text: str
    verdict: Verdict = Verdict.OK


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    check: str
    expected: str
    seen: str
    verdict: Verdict
    seconds: float


class NotChecked(Exception):
    """Why a check cannot be made."""


def judged(text: str, is_expected: bool) -> Seen:
    """Return what was seen, `ok` or `differs`."""
    return Seen(text, Verdict.OK if is_expected else Verdict.DIFFERS)
