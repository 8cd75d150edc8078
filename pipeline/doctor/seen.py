"""The result of a check, and a row of the table."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check concluded. `ok` means seen and as expected, never that nothing was looked at."""

    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Seen:
    """What a check saw, in words, and its verdict."""

    text: str
    verdict: Verdict = Verdict.OK


@dataclass(frozen=True)
class Row:
    """A row of the table, with the seconds that the check took."""

    check: str
    expected: str
    seen: str
    verdict: Verdict
    seconds: float


class NotChecked(Exception):
    """A check cannot be made, or does not settle its question; the message says why."""


def judged(text: str, is_expected: bool) -> Seen:
    """Return what was seen with the verdict `ok` if it is as expected, else `differs`."""
    return Seen(text, Verdict.OK if is_expected else Verdict.DIFFERS)
