"""Periods: the spans of time that become the cube's dates, and the season searched in each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

UNIT_MONTHS = {"year": 12, "two_months": 2, "month": 1}


@dataclass(frozen=True)
class Period:
    """A span of days from `start` to before `end`; `label` (2018, 2018-03, 2018-03-09) is its id."""

    label: str
    start: date
    end: date

    @property
    def is_year(self) -> bool:
        """Whether it is a calendar year, by its label and its days."""
        return len(self.label) == 4 and self.label.isdigit()

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of its days but that they lie before or after another's."""
        return self.start.year == FIRST_YEAR or self.end.year > LAST_YEAR

    def span(self, season: tuple[int, int] | None) -> tuple[date, date]:
        """The period where `season` is searched, from the first to before the second day: as it is
        labelled, but a year whose season runs over New Year is the twelve months that end with it. So
        every season lies in its period, and one period follows on the other."""
        if season is None or not self.is_year or season[0] <= season[1]:
            return self.start, self.end
        end = add_months(date(self.start.year, season[1], 1), 1)
        return add_months(end, -12), end

    def search_window(self, season: tuple[int, int] | None) -> tuple[date, date]:
        """Days to search, from the first to before the second: a year's first to last month of
        `season` (one over New Year belongs to the year it ends in), else the whole period."""
        if season is None or not self.is_year:
            return self.start, self.end
        first, last = season
        year = self.start.year
        opening = date(year if first <= last else year - 1, first, 1)
        return opening, add_months(date(year, last, 1), 1)


FIRST_YEAR, LAST_YEAR = 1900, 2100
"""Images from space and air lie between."""


def check_year(day: date) -> None:
    """ValueError for a day of which there are no images."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"{day} is no day of images: years may be {FIRST_YEAR} to {LAST_YEAR}")


def listed(labels: Iterable[str]) -> list[Period]:
    """The named periods in order of time. ValueError where one is no date or two overlap."""
    periods = sorted((parse(label) for label in labels), key=lambda period: period.start)
    if any(a.end > b.start for a, b in pairwise(periods)):
        raise ValueError("dates overlap or repeat")
    return periods


def spans(named: Mapping[str, tuple[date, date]]) -> list[Period]:
    """Periods by name from their first and last day, in order of their middles."""
    found = [Period(name, first, last + timedelta(days=1)) for name, (first, last) in named.items()]
    return sorted(found, key=lambda period: period.start.toordinal() + period.end.toordinal())


def every(unit: str, first: str, last: str) -> list[Period]:
    """One period a unit (year, two_months, month, day) from `first` to `last`, both included."""
    start, stop = parse(first).start, parse(last).start
    if stop < start:
        raise ValueError(f"end {last} is before start {first}")
    periods = []
    while start <= stop:
        after = _step(start, unit)
        periods.append(Period(_label(start, unit), start, after))
        start = after
    return periods


def parse(label: str) -> Period:
    """The year, month or day that `label` names."""
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
    return Period(label, start, _step(start, unit))


def interval(t1: str, t2: str) -> int:
    """Steps from one period to a later one: years between years, else months, else days; 1 between
    periods with names of their own, whose distance differs from site to site."""
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
"""Mean length of a month of the Gregorian calendar."""


def months_between(first: date, last: date) -> float:
    """Return the months from one day to a later one, by their mean length."""
    return (last - first).days / MONTH_DAYS


def add_months(day: date, months: int) -> date:
    """The first of the month so many months later."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _step(day: date, unit: str) -> date:
    return day + timedelta(days=1) if unit == "day" else add_months(day, UNIT_MONTHS[unit])


def _label(day: date, unit: str) -> str:
    return day.isoformat()[: {"year": 4, "day": 10}.get(unit, 7)]
