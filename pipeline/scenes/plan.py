"""What a benchmark takes, told before anything is fetched.

`estimate` asks nobody: sites, area, tiles and pairs are exact, scenes and bytes follow from how often a
sensor passes. `make` asks the source for its lists of scenes.

Masks are read of every scene that its metadata does not rule out, bands of as many as the policy
may choose; the clearest by metadata stand for those. Bytes are of pixels before compression.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from pipeline.core.layout import Benchmark
from pipeline.core.progress import progress
from pipeline.geo import geodesy, grid
from pipeline.index import pairs
from pipeline.index.tile import starts
from pipeline.recipe import EarthEngine, Recipe, Stac, Synthetic, Xyz
from pipeline.scenes import reader, selection
from pipeline.scenes.selection import Candidate
from pipeline.sites.lay_out import area_km2
from pipeline.sources import protocol
from pipeline.sources.protocol import Source

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


REVISIT_DAYS = 5
"""Sentinel-2 passes a place about so often with two satellites (more often in the north)."""
FINE = {"B02", "B03", "B04", "B08"}
"""Sentinel-2 bands of 10 m; the others are taken as 20 m."""


@dataclass(frozen=True)
class Estimate:
    """What a recipe and its sites come to. Bytes are of pixels before compression."""

    sites: int
    aoi_km2: float
    periods: int
    scenes: int
    pixel_bytes: int
    tiles: int
    pairs: int

    def __str__(self) -> str:
        return (
            f"{self.sites:,} sites of {self.aoi_km2:,.1f} km² in {self.periods:,} periods; about "
            f"{self.scenes:,} scenes to search, {self.pixel_bytes / 1e9:,.2f} GB of pixels to fetch; "
            f"{self.tiles:,} tiles and {self.pairs:,} pairs if every period has an image"
        )


def estimate(recipe: Recipe, sites: Any) -> Estimate:
    """Sums over a table of sites, from the recipe alone."""
    periods = recipe.periods.periods()
    tiles = sum(
        len(starts(int(site.height), recipe.tiling)) * len(starts(int(site.width), recipe.tiling))
        for site in sites.itertuples()
    )
    scenes = size = 0
    for site in sites.itertuples():
        found, taken = _expected(recipe, geodesy.centre(site.geometry)[1])
        scenes, size = scenes + found, size + _pixel_bytes(recipe, site, found, taken)
    wanted = len(pairs.wanted([period.label for period in periods], recipe))
    area = sum(area_km2(geometry) for geometry in sites.geometry)
    return Estimate(len(sites), area, len(periods), scenes, size, tiles, tiles * wanted)


def _expected(recipe: Recipe, latitude: float) -> tuple[int, int]:
    """About how many scenes of a site will be listed, and how many read in full."""
    rule, source, found, taken = recipe.selection, recipe.source, 0, 0
    most = 1 if rule.policy == "least_cloudy" else rule.max_days
    for period in recipe.periods.periods():
        first, last = period.search_window(rule.season.at(latitude) if rule.season else None)
        match source:
            case Synthetic():
                count = source.scenes_per_period
            case Xyz():
                count = sum(str(first) <= day < str(last) for day in source.releases)
            case Stac() | EarthEngine(bands={}):
                count = max(1, (last - first).days // REVISIT_DAYS)
            case _:
                count = 1
        found, taken = found + count, taken + min(most, count)
    return found, taken


def _pixel_bytes(recipe: Recipe, site: Any, found: int, taken: int) -> int:
    """Masks of all scenes and bands of those taken."""
    pixels = int(site.height) * int(site.width)
    if recipe.sensor.dtype == "uint8":
        return taken * len(recipe.sensor.bands) * pixels
    share = sum(
        1.0 if band in FINE or recipe.sensor.resolution != 10 else 0.25 for band in recipe.sensor.bands
    )
    return round(found * pixels / 4 + taken * 2 * share * pixels)


def make(benchmark: Benchmark, recipe: Recipe, sites: Any) -> Plan | None:
    """The plan for a table of sites; None for the synthetic source, from which nothing is fetched."""
    if isinstance(recipe.source, Synthetic):
        return None
    source = protocol.open(benchmark, recipe)
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
        area = reader.mask_grid(target, recipe, source)
        requests += len(open_) * source.requests([source.mask_band], area)
        size += len(open_) * area.height * area.width
    if chosen:
        for area, bands in reader.by_grid(source, chosen[0].scene, recipe, target):
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
