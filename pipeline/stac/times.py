"""When a published image was taken: its day where one day made it, else the span of its scenes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from minebench.periods import Period
from pipeline.recipe import Recipe
from pipeline.sites.site import Site
from pipeline.stac import objects

EXACT = frozenset({"acquisition", "file name", "list"})
"""What tells the very day of a scene; a release, a year alone or a published range does not."""


@dataclass(frozen=True)
class When:
    """`at` is the time of acquisition of an image of one day, else None; `first` and `last` span the scenes
    behind it, or the period where their days are not known."""

    at: datetime | None
    first: datetime
    last: datetime


def interval(site: Site, period: Period, recipe: Recipe) -> tuple[datetime, datetime]:
    """First and last second of a period on a site."""
    start, end = site.span(period, recipe)
    return objects.midnight(start), objects.midnight(end) - timedelta(seconds=1)


def of_image(site: Site, period: Period, recipe: Recipe, scenes: pd.DataFrame) -> When:
    """Of a period's image; `scenes` are the rows of `scenes` that went into it."""
    first, last = interval(site, period, recipe)
    if scenes.empty or scenes.datetime.isna().any() or not set(scenes.dated_by) <= EXACT:
        return When(None, first, last)
    times = [time.to_pydatetime() for time in scenes.datetime.dt.floor("s")]
    return When(min(times) if len(set(scenes.day)) == 1 else None, min(times), max(times))


def around(spans: list[tuple[datetime, datetime]]) -> tuple[datetime, datetime]:
    """The time that all of them take."""
    return min(first for first, _ in spans), max(last for _, last in spans)


def whole(sites: list[Site], recipe: Recipe) -> tuple[datetime, datetime]:
    """From the start of the first period to the end of the last, over all sites."""
    periods = recipe.periods.periods()
    return around([interval(site, period, recipe) for site in sites for period in (periods[0], periods[-1])])


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
