"""Format the rows as a Markdown table to paste into a report, or as one JSON object."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from minebench import __version__
from minebench.errors import redacted
from pipeline.doctor.examine import is_well
from pipeline.doctor.seen import Row
from pipeline.doctor.visit import Visit
from pipeline.sources.protocol import Options

COLUMNS = ("check", "expected", "seen", "verdict", "s")


def address(options: Options) -> str:
    """Return a source's address and collections, without credentials."""
    fields = options.model_dump(mode="json")
    where = next((str(fields[key]) for key in ("href", "url", "template") if fields.get(key)), options.name)
    collections = fields.get("collections") or ([fields["collection"]] if fields.get("collection") else [])
    return ", ".join([redacted(where), *collections])


def heading() -> dict[str, str]:
    """Return the versions and the date that a report starts with."""
    return {
        "minebench": __version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def markdown(visits: Sequence[tuple[Visit, Sequence[Row]]]) -> str:
    """Return the report as Markdown."""
    head = heading()
    lines = [
        f"minebench {head['minebench']}, {head['date']}, Python {head['python']}, {head['system']}",
    ]
    for visit, rows in visits:
        lines += ["", f"**{visit.catalogue.name}** ({visit.options.name}: {address(visit.options)})", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|---|---|", *map(_row, rows)]
    return "\n".join(lines)


def as_object(visits: Sequence[tuple[Visit, Sequence[Row]]]) -> Mapping[str, Any]:
    """Return the report as one object that JSON can hold."""
    sources = [
        {
            "name": visit.catalogue.name,
            "source": visit.options.name,
            "address": address(visit.options),
            "rows": [
                {"check": row.check, "expected": row.expected, "seen": row.seen,
                 "verdict": str(row.verdict), "seconds": round(row.seconds, 2)}
                for row in rows
            ],
        }
        for visit, rows in visits
    ]  # fmt: skip
    return {**heading(), "ok": all(is_well(rows) for _, rows in visits), "sources": sources}


def _row(row: Row) -> str:
    cells = (row.check, row.expected, row.seen, row.verdict, f"{row.seconds:.1f}")
    return "| " + " | ".join(_cell(str(cell)) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Escape what would end the cell of a Markdown table, start HTML or mean emphasis."""
    for letter in "\\|*<":
        text = text.replace(letter, f"\\{letter}")
    return text
