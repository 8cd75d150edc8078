"""What fetching a benchmark takes, told before anything is fetched: only lists of scenes are asked for.

Masks are read of every scene that its metadata does not rule out, bands of as many as the policy
may choose; the clearest by metadata stand for those. Bytes are of pixels before compression.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from models.progress import progress
from pipeline import geodesy, grid, reading, selection, sources
from pipeline.layout import Benchmark
from pipeline.recipe import Recipe, Synthetic, Xyz
from pipeline.selection import Candidate
from pipeline.sources import Source

REQUEST_S = 1.0
"""Time a request is taken to need; providers and places differ."""
MOST_A_SECOND = 100
"""Requests a second of Earth Engine's standard quota, taken for the others too."""


@dataclass(frozen=True)
class Plan:
    """Sums over sites. `scenes` were found, `masks` would be read, `chosen` at most also in full."""

    sites: int
    periods: int
    scenes: int
    masks: int
    chosen: int
    requests: int
    pixel_bytes: int
    seconds: float
    empty: int
    """Site-periods for which nothing was found."""

    def __str__(self) -> str:
        hours, minutes = divmod(round(self.seconds / 60), 60)
        time = f"{hours} h {minutes:02d} min" if hours else f"{max(1, minutes)} min"
        return (
            f"{self.sites} sites in {self.periods} periods: {self.scenes:,} scenes found, the mask of "
            f"{self.masks:,} to be read and at most {self.chosen:,} in full; {self.requests:,} requests, "
            f"{self.pixel_bytes / 1e9:,.2f} GB of pixels, about {time}; "
            f"{self.empty} of {self.sites * self.periods} site-periods have no scene"
        )


def make(benchmark: Benchmark, recipe: Recipe, sites: Any) -> Plan | None:
    """The plan for a table of sites; None for the synthetic source, from which nothing is fetched."""
    if isinstance(recipe.source, Synthetic):
        return None
    source = sources.open(benchmark, recipe)
    jobs = [(row, period) for row in sites.itertuples() for period in recipe.periods.periods()]
    with progress("plan", len(jobs), "searches") as advance:

        def search(job: tuple[Any, Any]) -> np.ndarray:
            found = _of_period(source, recipe, *job)
            advance()
            return found

        with ThreadPoolExecutor(source.parallel) as pool:
            sums = np.array(list(pool.map(search, jobs)))
    scenes, masks, chosen, requests, size = (int(value) for value in sums.sum(axis=0))
    rate = recipe.source.per_second if isinstance(recipe.source, Xyz) else MOST_A_SECOND
    return Plan(
        len(sites), len(recipe.periods.periods()), scenes, masks, chosen, requests, size,
        max(requests / rate, requests * REQUEST_S / source.parallel), int((sums[:, 0] == 0).sum()),
    )  # fmt: skip


def _of_period(source: Source, recipe: Recipe, site: Any, period: Any) -> np.ndarray:
    """Scenes, masks, chosen, requests and bytes of one site and period."""
    longitude, latitude = geodesy.centre(site.geometry)
    rule = recipe.selection
    first, last = period.search_window(rule.season.at(latitude) if rule.season else None)
    candidates = [Candidate(s, s.solar_day(longitude)) for s in source.search(site.geometry, first, last)]
    open_ = [c for c in candidates if not selection.reject_by_metadata(c, rule)]
    chosen = open_ if source.mask_band is None else _likely(open_, recipe)
    target = grid.of_site(site, recipe.sensor.resolution)
    requests = size = 0
    if source.mask_band is not None and open_:
        area = reading.mask_grid(target, recipe, source)
        requests += len(open_) * source.requests([source.mask_band], area)
        size += len(open_) * area.height * area.width
    if chosen:
        for area, bands in reading.by_grid(source, chosen[0].scene, recipe, target):
            requests += len(chosen) * source.requests(bands, area)
            item = np.dtype(recipe.sensor.dtype).itemsize
            size += len(chosen) * len(bands) * area.height * area.width * item
    return np.array([len(candidates), len(open_), len(chosen), requests, size])


def _likely(open_: Sequence[Candidate], recipe: Recipe) -> list[Candidate]:
    """The scenes of the days that the policy would take if metadata told the truth."""
    days: dict[date, list[Candidate]] = {}
    for candidate in open_:
        days.setdefault(candidate.day, []).append(candidate)
    ranked = sorted(days, key=lambda day: min(c.scene.cloud_cover or 0 for c in days[day]))
    most = 1 if recipe.selection.policy == "least_cloudy" else recipe.selection.max_days
    return [candidate for day in ranked[:most] for candidate in days[day]]
