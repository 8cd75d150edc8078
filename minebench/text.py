"""Format counts, durations, sizes, scores and lists as text."""

from collections.abc import Iterable, Sequence

EVERY_SITE = "all sites"
"""Stands for the site's id in rows about all sites."""

BEFORE, START, AFTER = PHASES = ("before", "start", "after")
"""Phases of a site relative to its start of production."""
UNKNOWN_START, NO_IMAGES = "unknown", "no images"
"""Stand for a phase if the start is unknown, and if no two images enclose it."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 site`, `12 sites`, `2 countries`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a duration as text: `40 s`, `12 min`, `3 h 20 min`, `5 days`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{round(hours / 24)} days"


def size(count: float) -> str:
    """Return a number of bytes as text: `4.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def score(value: float | None) -> str:
    """Return a score with three digits, `undefined` if it is None or NaN."""
    return "undefined" if value is None or value != value else f"{value:.3f}"


def few(values: Sequence[object], most: int = 8) -> str:
    """Return the first values as text, and how many more there are."""
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown


def by_another_case(name: str, known: Iterable[str]) -> str:
    """Return a hint to append to a message if a name differs only in case, such as b02 for B02."""
    near = [other for other in known if other != name and other.lower() == name.lower()]
    return f" ({near[0]} is there: upper and lower case differ)" if near else ""


SWITCHED = {True: "on", False: "off"}
"""Words that YAML 1.1 reads as booleans."""
