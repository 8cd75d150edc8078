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

from minebench import cores, index
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from minebench.progress import progress
from minebench.text import counted, duration, size
from pipeline import sources
from pipeline.geo import geodesy
from pipeline.recipe import Recipe
from pipeline.scenes import reader, selection
from pipeline.scenes.selection import Candidate
from pipeline.sites.site import Site
from pipeline.sources.opened import Opened
from pipeline.sources.protocol import Source

CORES = cores.count()
SHIFT_S, COMPOSE_S = 3.3e-6, 6e-8
"""Time of one core for a pixel and date to be read, judged and its shift measured, and for a pixel, date
and band to be composed; ten bands, sites of 256 to 820 pixels (docs/benchmarks.md)."""
ARCHIVE_S = 3e-7
"""Time of one core for a byte of the synthetic archive (docs/benchmarks.md)."""
RECEIVED_A_SECOND = 12.5e6
"""Bytes over a line of 100 Mbit/s."""
REQUEST_S = 1.0
"""Time a request is taken to need; providers and places differ."""


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
    allowance: str = ""
    """What the requests take of what the service grants."""

    def __str__(self) -> str:
        hours, minutes = divmod(round(self.seconds / 60), 60)
        time = f"{hours} h {minutes:02d} min" if hours else f"{max(1, minutes)} min"
        allowance = f"; {self.allowance}" if self.allowance else ""
        masks = f"the mask of {self.masks:,} to be read and " if self.masks else ""
        return (
            f"{self.sites} sites in {self.periods} periods: {self.scenes:,} scenes found, {masks}"
            f"at most {self.chosen:,} in full; {self.requests:,} requests, "
            f"{self.pixel_bytes / 1e9:,.2f} GB of pixels, about {time}; "
            f"{self.empty} of {self.sites * self.periods} site-periods have no scene{allowance}"
        )


@dataclass(frozen=True)
class Estimate:
    """What a recipe and its sites come to. Bytes are of pixels before compression."""

    sites: int
    aoi_km2: float
    periods: int
    scenes: int
    pixel_bytes: int
    disk_bytes: int
    tiles: int
    pairs: int
    source: str
    quota: str
    fetch_s: float
    work_s: float

    def sentences(self) -> list[str]:
        """The sums in words. Of a synthetic source nothing is fetched."""
        got = {"synthetic": "made", "local": "read from your files"}.get(self.source, "fetched")
        busy = "to make the archive" if self.source == "synthetic" else "to fetch"
        work = f"{duration(self.work_s)} to measure shifts and compose on {counted(CORES, 'core')}"
        if self.fetch_s:
            work = f"{duration(self.fetch_s)} {busy}{self.quota}, {work}"
        return [
            f"{counted(self.sites, 'AOI')} of {self.aoi_km2:,.1f} km² in {counted(self.periods, 'period')}: "
            f"{counted(self.tiles, 'tile')} and {counted(self.pairs, 'pair')} if every period has an image",
            f"about {counted(self.scenes, 'scene')} to search, {size(self.pixel_bytes)} of pixels {got}, at "
            f"most {size(self.disk_bytes)} of disk",
            f"about {work}; training is not in it",
        ]


def estimate(recipe: Recipe, sites: Sequence[Site], source: Source | None = None) -> Estimate:
    """Sums over sites, from the recipe alone; where an open source is given, scenes are those that it
    lists."""
    periods = recipe.periods.periods()
    tiles = sum(len(recipe.tiling.corners(site.shape)) for site in sites)
    scenes = weight = disk = requests = 0
    work = 0.0
    bands, item = len(recipe.sensor.bands), recipe.sensor.encoding.bytes
    for site in sites:
        found, taken = _expected(recipe, site, source)
        fetched, pixels = _pixel_bytes(recipe, site, found, taken), site.shape[0] * site.shape[1]
        scenes, weight, requests = scenes + found, weight + fetched, requests + found + taken * bands
        # Kept scenes, the cube's images and their GeoTIFFs, and masks, as if nothing were compressed.
        disk += fetched + len(periods) * pixels * (2 * bands * item + 8)
        work += taken * pixels * (SHIFT_S + bands * COMPOSE_S) / CORES
    wanted = len(index.wanted([period.label for period in periods], recipe.pairs))
    area = sum(_ground_km2(site, recipe) for site in sites)
    return Estimate(
        len(sites), area, len(periods), scenes, weight, disk, tiles, tiles * wanted, recipe.source.name,
        _quota(recipe, requests), _fetch_s(recipe, requests, weight), work,
    )  # fmt: skip


def _ground_km2(site: Site, recipe: Recipe) -> float:
    """The AOI without what another site counts; a clipped one is without it already."""
    area = geodesy.area_km2(site.geometry)
    if site.elsewhere is None or recipe.sites.overlap == "clip":
        return area
    return area - geodesy.area_km2(site.elsewhere)


def _quota(recipe: Recipe, requests: int) -> str:
    """What is asked of a service, and how much at a time; empty where none is asked."""
    parallel = getattr(recipe.source, "parallel", None)
    if parallel is None:
        return ""
    rate = recipe.source.requests_a_second()
    return f" ({requests:,} requests, {parallel} at once and at most {rate:g} a second)"


def _fetch_s(recipe: Recipe, requests: int, pixel_bytes: int) -> float:
    """Time to get the pixels: made, or asked for."""
    if recipe.source.is_synthetic:
        return pixel_bytes * ARCHIVE_S / CORES
    parallel = getattr(recipe.source, "parallel", None)
    if parallel is None:
        return 0.0
    asked = max(requests / recipe.source.requests_a_second(), requests * REQUEST_S / parallel)
    return max(asked, pixel_bytes / RECEIVED_A_SECOND)


def _expected(recipe: Recipe, site: Site, source: Source | None) -> tuple[int, int]:
    """About how many scenes of a site will be listed, and how many read in full."""
    found = taken = 0
    for period in recipe.periods.periods():
        window = site.search_window(period, recipe)
        if source is None:
            count = recipe.source.expected(*window, recipe.profile)
        else:
            count = len(source.search(site.geometry, *window))
        found, taken = found + count, taken + min(recipe.selection.most_days, count)
    return found, taken


def _pixel_bytes(recipe: Recipe, site: Site, found: int, taken: int) -> int:
    """Masks of all scenes and bands of those taken."""
    pixels, profile = site.shape[0] * site.shape[1], recipe.profile
    if recipe.sensor.encoding.bytes == 1:
        return taken * len(recipe.sensor.bands) * pixels
    resolution = recipe.sensor.resolution
    share = sum(profile.finer_share(band, resolution) for band in recipe.sensor.bands)
    mask = min(1.0, (resolution / profile.mask.pixel_m) ** 2) if profile.mask else 0
    return round(found * pixels * mask + taken * 2 * share * pixels)


def make(benchmark: BenchmarkPaths, recipe: Recipe, sites: Sequence[Site]) -> Plan | None:
    """The plan for sites; None for the synthetic source, from which nothing is fetched."""
    if recipe.source.is_synthetic:
        return None
    source = sources.open(benchmark, recipe)
    jobs = [(site, period) for site in sites for period in recipe.periods.periods()]
    with progress("plan", len(jobs), "searches") as advance:

        def search(job: tuple[Any, Any]) -> np.ndarray:
            found = _of_period(source, recipe, *job)
            advance()
            return found

        with ThreadPoolExecutor(source.parallel) as pool:
            sums = np.array(list(pool.map(search, jobs)))
    scenes, masks, chosen, requests, size = (int(value) for value in sums.sum(axis=0))
    rate = recipe.source.requests_a_second()
    return Plan(
        len(sites), len(recipe.periods.periods()), scenes, masks, chosen, requests, size,
        max(requests / rate, requests * REQUEST_S / source.parallel), int((sums[:, 0] == 0).sum()),
        recipe.source.allowance(requests),
    )  # fmt: skip


def _of_period(source: Opened, recipe: Recipe, site: Site, period: Period) -> np.ndarray:
    """Scenes, masks, chosen, requests and bytes of one site and period."""
    rule = recipe.selection
    first, last = site.search_window(period, recipe)
    listed = source.search(site.geometry, first, last)
    candidates = [Candidate(scene, scene.solar_day(site.place[0])) for scene in listed]
    open_ = [c for c in candidates if not selection.reject_by_metadata(c, rule)]
    chosen = open_ if source.mask_band is None else _likely(open_, recipe)
    target = site.grid
    requests = size = 0
    if source.mask_band is not None and open_:
        area = reader.mask_grid(target, recipe, source)
        requests += len(open_) * source.requests([source.mask_band], area)
        size += len(open_) * area.height * area.width
    if chosen:
        for area, bands in reader.by_grid(source, chosen[0].scene, recipe, target):
            requests += len(chosen) * source.requests(bands, area)
            item = recipe.sensor.encoding.bytes
            size += len(chosen) * len(bands) * area.height * area.width * item
    masks = 0 if source.mask_band is None else len(open_)
    return np.array([len(candidates), masks, len(chosen), requests, size])


def _likely(open_: Sequence[Candidate], recipe: Recipe) -> list[Candidate]:
    """The scenes of the days that the policy would take if metadata told the truth."""
    days: dict[date, list[Candidate]] = {}
    for candidate in open_:
        days.setdefault(candidate.day, []).append(candidate)
    ranked = sorted(days, key=lambda day: min(c.scene.cloud_cover or 0 for c in days[day]))
    return [candidate for day in ranked[: recipe.selection.most_days] for candidate in days[day]]
