"""Run the lines one after the other, each within a time limit; the next one runs whatever a line raises."""

import logging
import os
import time
from collections.abc import Sequence

from minebench.errors import MinebenchError, explained, redacted
from minebench.progress import progress
from pipeline.core import limits
from pipeline.doctor.lines import Line
from pipeline.doctor.seen import NotChecked, Row, Seen, Verdict
from pipeline.doctor.visit import Visit
from pipeline.web import patience

log = logging.getLogger(__name__)
WHOLE_S, WHOLE_ALL_S = 120.0, 900.0
"""Seconds after which no further check starts: by default, and with the costly ones (--all)."""
ATTEMPTS = 2
"""Attempts per request."""
LONGEST = 400
"""Characters of the column `seen` that are kept."""
SECRETS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PC_SDK_SUBSCRIPTION_KEY",
)  # fmt: skip
"""Environment variables whose values are masked in the table, even where a service quotes them."""


def examine(visit: Visit, lines: Sequence[Line], everything: bool = False) -> list[Row]:
    """Run the checks and return their rows in the same order; `everything` includes the costly ones."""
    until = time.monotonic() + (WHOLE_ALL_S if everything else WHOLE_S)
    rows: list[Row] = []
    with (
        progress(f"doctor {visit.catalogue.name}", len(lines), "checks") as advance,
        limits.watching(visit.sightings.append),
    ):
        for line in lines:
            started = time.monotonic()
            why = _reason_to_skip(line, visit, rows, everything, until - started)
            seen = Seen(why, Verdict.NOT_CHECKED) if why else _run(line, visit, until - started)
            text = _masked(seen.text)
            rows.append(Row(line.check, line.expected, text, seen.verdict, time.monotonic() - started))
            advance(note=f"{line.check}: {seen.verdict}")
    return rows


def is_well(rows: Sequence[Row]) -> bool:
    """Return whether no row failed and none differs."""
    return all(row.verdict in (Verdict.OK, Verdict.NOT_CHECKED) for row in rows)


def _reason_to_skip(line: Line, visit: Visit, rows: Sequence[Row], everything: bool, left: float) -> str:
    """Return why a line is not run; empty if it is. `left` are the seconds left for all lines."""
    if line.costly and not everything:
        return f"{line.costly}: only with --all"
    if rows and rows[0].check == "reach" and rows[0].verdict is Verdict.FAILED and not visit.sightings:
        return "no answer came from the service"
    return "the time limit for all checks has passed" if left <= 0 else ""


def _run(line: Line, visit: Visit, left: float) -> Seen:
    """Return what a line saw; whatever it raises becomes a verdict."""
    with patience.patient(min(line.seconds, left), ATTEMPTS):
        try:
            return line.look(visit)
        except NotChecked as why:
            return Seen(str(why), Verdict.NOT_CHECKED)
        except MinebenchError as error:
            return Seen(str(error), Verdict.FAILED)
        except Exception as error:
            log.exception("check %s", line.check)
            text = str(explained(error) or f"{type(error).__name__}: {error}")
            return Seen(f"{text}; minebench cannot read this answer", Verdict.FAILED)


def _masked(text: str) -> str:
    """Return text on one line, shortened, with secrets masked."""
    for value in filter(None, map(os.environ.get, SECRETS)):
        text = text.replace(value, "***")
    text = " ".join(redacted(text).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
