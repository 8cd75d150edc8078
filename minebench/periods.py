"""Periods: the spans of time of a cube's images, and the season searched in each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

UNIT_MONTHS = {"year": 12, "two_months": 2, "month": 1}


@dataclass(frozen=True)
class Period:
    """A span of days from `start` until `end`, exclusive; `label` (2018, 2018-03, 2018-03-09) is its id."""

    label: str
    start: date
    end: date

    @property
    def is_year(self) -> bool:
        """Whether it is a calendar year, by its label and its days."""
        return len(self.label) == 4 and self.label.isdigit()

    @property
    def is_unknown(self) -> bool:
        """Whether its days are unknown, other than that they lie before or after another period's."""
        return self.start.year == FIRST_YEAR or self.end.year > LAST_YEAR

    def span(self, season: tuple[int, int] | None) -> tuple[date, date]:
        """Return the first day of the period and the day after its last one, for a season.

        A year whose season runs over New Year is the twelve months that end with the season; any other
        period is as labelled. So every season lies in its period, and periods follow one another.

        Parameters
        ----------
        season
            First and last month, 1 to 12; None for all months.
        """
        if season is None or not self.is_year or season[0] <= season[1]:
            return self.start, self.end
        end = add_months(date(self.start.year, season[1], 1), 1)
        return add_months(end, -12), end

    def search_window(self, season: tuple[int, int] | None) -> tuple[date, date]:
        """Return the first day to search and the day after the last one.

        Of a year they are the days of the season (one over New Year belongs to the year it ends in), else
        those of the whole period.

        Parameters
        ----------
        season
            First and last month, 1 to 12; None for all months.
        """
        if season is None or not self.is_year:
            return self.start, self.end
        first, last = season
        year = self.start.year
        opening = date(year if first <= last else year - 1, first, 1)
        return opening, add_months(date(year, last, 1), 1)


FIRST_YEAR, LAST_YEAR = 1900, 2100
"""Range of years that images may have."""


def check_year(day: date) -> None:
    """Raise ValueError for a day outside the range of years that images may have."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"{day} is no day of images: years may be {FIRST_YEAR} to {LAST_YEAR}")


def listed(labels: Iterable[str]) -> list[Period]:
    """Return the labelled periods in order of time. ValueError if one is not a date or two overlap."""
    periods = sorted((parse(label) for label in labels), key=lambda period: period.start)
    if any(a.end > b.start for a, b in pairwise(periods)):
        raise ValueError("dates overlap or repeat")
    return periods


def spans(named: Mapping[str, tuple[date, date]]) -> list[Period]:
    """Return named periods from their first and last days, in order of their middles."""
    periods = [Period(name, first, last + timedelta(days=1)) for name, (first, last) in named.items()]
    return sorted(periods, key=lambda period: period.start.toordinal() + period.end.toordinal())


def every(unit: str, first: str, last: str) -> list[Period]:
    """Return one period per unit (year, two_months, month, day) from `first` to `last`, inclusive."""
    start, stop = parse(first).start, parse(last).start
    if stop < start:
        raise ValueError(f"end {last} is before start {first}")
    periods = []
    while start <= stop:
        end = _next(start, unit)
        periods.append(Period(_label(start, unit), start, end))
        start = end
    return periods


def parse(label: str) -> Period:
    """Return the year, month or day that `label` names. ValueError if it is not a date of images."""
    match = re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", label)
    if not match:
        raise ValueError(f"'{label}' is not a date: write 2018, 2018-03 or 2018-03-09, in quotes")
    year, month, day = (int(part) if part else None for part in match.groups())
    try:
        start = date(year or 0, month or 1, day or 1)
    except ValueError:
        raise ValueError(f"'{label}' is not a date of the calendar") from None
    check_year(start)
    unit = "day" if day else "month" if month else "year"
    return Period(label, start, _next(start, unit))


def interval(t1: str, t2: str) -> int:
    """Return the distance from one period to a later one.

    Both labels are dates: their distance in days if either is a day, else in months if either is a month,
    else in years. 1 between named periods, because their distance differs between sites.
    """
    if not (t1[0].isdigit() and t2[0].isdigit()):
        return 1
    a, b = parse(t1), parse(t2)
    length = max(len(t1), len(t2))
    if length == 4:
        return b.start.year - a.start.year
    if length == 7:
        return (b.start.year - a.start.year) * 12 + b.start.month - a.start.month
    return (b.start - a.start).days


MONTH_DAYS = 30.436875
"""Mean length in days of a month of the Gregorian calendar."""


def months_between(first: date, last: date) -> float:
    """Return the time from one day to a later one, in months of mean length."""
    return (last - first).days / MONTH_DAYS


def add_months(day: date, months: int) -> date:
    """Return the first day of the month that is `months` later."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _next(day: date, unit: str) -> date:
    return day + timedelta(days=1) if unit == "day" else add_months(day, UNIT_MONTHS[unit])


def _label(day: date, unit: str) -> str:
    return day.isoformat()[: {"year": 4, "day": 10}.get(unit, 7)]
