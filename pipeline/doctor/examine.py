"""Running the lines one after the other: each bounded in time, none of them ending those after it."""

import logging
import os
import time
from collections.abc import Sequence

from pipeline.core import patience, traffic
from pipeline.core.errors import MinebenchError
from pipeline.core.faults import explained
from pipeline.core.progress import progress
from pipeline.core.redaction import redacted
from pipeline.doctor.lines import Line
from pipeline.doctor.seen import NotChecked, Row, Seen, Verdict
from pipeline.doctor.visit import Visit

log = logging.getLogger(__name__)
WHOLE_S, WHOLE_ALL_S = 120.0, 900.0
"""Seconds after which no further check begins: usually, and with the costly ones."""
ATTEMPTS = 2
"""Tries of a request."""
LONGEST = 400
"""Characters of what was seen."""
SECRETS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PC_SDK_SUBSCRIPTION_KEY",
)  # fmt: skip
"""Variables whose values no service is quoted with."""


def examine(visit: Visit, lines: Sequence[Line], everything: bool = False) -> list[Row]:
    """Make the checks and return their rows, in their order."""
    until = time.monotonic() + (WHOLE_ALL_S if everything else WHOLE_S)
    rows: list[Row] = []
    with (
        progress(f"doctor {visit.catalogue.name}", len(lines), "checks") as advance,
        traffic.watching(visit.sightings.append),
    ):
        for line in lines:
            begun = time.monotonic()
            why = _not_now(line, visit, rows, everything, until - begun)
            seen = Seen(why, Verdict.NOT_CHECKED) if why else _seen(line, visit, until - begun)
            text = _discreet(seen.text)
            rows.append(Row(line.check, line.expected, text, seen.verdict, time.monotonic() - begun))
            advance(note=f"{line.check}: {seen.verdict}")
    return rows


def is_well(rows: Sequence[Row]) -> bool:
    """Return whether nothing failed and nothing differs."""
    return all(row.verdict in (Verdict.OK, Verdict.NOT_CHECKED) for row in rows)


def _not_now(line: Line, visit: Visit, rows: Sequence[Row], everything: bool, left: float) -> str:
    """Why a line is not run; empty where it is."""
    if line.costly and not everything:
        return f"{line.costly}: only with --all"
    if rows and rows[0].check == "reach" and rows[0].verdict is Verdict.FAILED and not visit.sightings:
        return "no answer came from the service"
    return "the time for all checks is over" if left <= 0 else ""


def _seen(line: Line, visit: Visit, left: float) -> Seen:
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
            return Seen(f"{text}; not what minebench can read", Verdict.FAILED)


def _discreet(text: str) -> str:
    """Text on one line, without what may be secret."""
    for value in filter(None, map(os.environ.get, SECRETS)):
        text = text.replace(value, "***")
    text = " ".join(redacted(text).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
