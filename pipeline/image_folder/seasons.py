"""Which months of which years a folder's images are searched in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shapely.geometry.base import BaseGeometry

SEVERAL_MONTHS = 4
"""Months of one year from which on images are of several seasons."""
MOST_YEARS = 0.7
"""Share of the years that must have images in a season."""
NORTH, SOUTH = ((6, 8), (5, 9), (4, 10)), ((12, 2), (11, 3), (10, 4))
"""First and last months around the peak of vegetation, the narrowest first."""


@dataclass(frozen=True)
class Years:
    """The labels of years with images, and the season that is searched in them, if one is."""

    labels: list[str]
    season: tuple[tuple[int, int], tuple[int, int]] | None
    """First and last month in the north, and in the south."""
    about: str
    months: tuple[int, int] | None = None
    """The season of the images' own hemisphere."""

    def label_of(self, day: date) -> str:
        """The label of the year that searches a day; empty outside of the season."""
        year = _year_of(day, self.months) if self.months else day.year
        return str(year) if year else ""


def of(days: Sequence[date], texts: Sequence[str], outlines: Sequence[BaseGeometry]) -> Years:
    """The years and season of images. `days` are empty where names tell years alone, and `texts` are the
    dates as written."""
    labels = sorted({text[:4] for text in texts}) if not days else sorted({str(day.year) for day in days})
    months = max((len({d.month for d in days if str(d.year) == label}) for label in labels), default=0)
    if months < SEVERAL_MONTHS:
        return Years(labels, None, f"{', '.join(labels)}; no season")
    is_north = sum(one.centroid.y for one in outlines) >= 0
    for north, south in zip(NORTH, SOUTH, strict=True):
        kept = sorted({str(year) for day in days if (year := _year_of(day, north if is_north else south))})
        if len(kept) >= MOST_YEARS * len(labels):
            lost = [label for label in labels if label not in kept]
            without = f"; without {', '.join(lost)}, which have no image in it" if lost else ""
            first, last = north if is_north else south
            about = f"{', '.join(kept)}, season from month {first} to {last}{without}"
            return Years(kept, (north, south), about, (first, last))
    return Years(labels, None, f"{', '.join(labels)}; no season, as in none do most years have images")


def _year_of(day: date, season: tuple[int, int]) -> int:
    """The year that a day's season belongs to; 0 outside of it. One over New Year is the year it ends in."""
    first, last = season
    if first <= last:
        return day.year if first <= day.month <= last else 0
    if day.month >= first:
        return day.year + 1
    return day.year if day.month <= last else 0
