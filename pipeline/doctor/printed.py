"""What was seen as a Markdown table to paste into a report, or as one object."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline import __version__
from pipeline.core.redaction import redacted
from pipeline.doctor.examine import is_well
from pipeline.doctor.seen import Row
from pipeline.doctor.visit import Visit
from pipeline.sources.protocol import Options

COLUMNS = ("check", "expected", "seen", "verdict", "s")


def address(options: Options) -> str:
    """Return what a source asks, without credentials."""
    found = options.model_dump(mode="json")
    where = next((str(found[key]) for key in ("href", "url", "template") if found.get(key)), options.name)
    what = found.get("collections") or ([found["collection"]] if found.get("collection") else [])
    return ", ".join([redacted(where), *what])


def heading() -> dict[str, str]:
    """Return what a report begins with."""
    return {
        "minebench": __version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def markdown(visits: Sequence[tuple[Visit, Sequence[Row]]]) -> str:
    """Return the report as Markdown."""
    told = heading()
    lines = [
        f"minebench {told['minebench']}, {told['date']}, Python {told['python']}, {told['system']}",
    ]
    for visit, rows in visits:
        lines += ["", f"**{visit.catalogue.name}** ({visit.options.name}: {address(visit.options)})", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|---|---|", *map(_row, rows)]
    return "\n".join(lines)


def as_object(visits: Sequence[tuple[Visit, Sequence[Row]]]) -> Mapping[str, Any]:
    """Return the report as one object."""
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
    """Text that neither ends a table's cell nor is taken for HTML or for emphasis."""
    for letter in "\\|*<":
        text = text.replace(letter, f"\\{letter}")
    return text
