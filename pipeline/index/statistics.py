"""What a benchmark holds, counted once a pixel of the ground: tiles may overlap, and where AOIs do one
site counts (`sites.elsewhere`).

Tables under index/statistics/, areas in km², shares of the known area in 0..1:

    site_pairs     every pair of periods of every site: known, expanded, reduced, changed
    sites          a site's first and last footprint, change between them, days of acquisition
    by_country     country and production type: sites, first and last footprint, change
    by_country_period  country and period: sites, known, footprint
    by_period      period: area, footprint, share, expanded, reduced, total since the period before
    by_interval    interval: pairs of periods that far apart, and what one of them changes on average:
                   expanded, reduced, accumulated, share (EuroMineNet's table 3)
    acquisitions   site and period: first and last day, missing where only a range is known
    spectra        band: histograms before and after, in changed and in unchanged pixels
    balance        split: tiles, pairs, pixels of each class
    leakage        split: share of pixels within one tile of training; see `pipeline.index.leakage`

Site after site, one in memory at a time, all pairs of a site in one pass (`minebench.cube.labels`).
`expanded` and `reduced` are NaN where change itself was labelled, which does not tell them apart.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import periods, tables
from minebench.cube import store
from minebench.cube.labels import Count, Labels
from minebench.layout import BenchmarkPaths
from minebench.periods import months_between
from pipeline.core.runner import Spread, each_site
from pipeline.cubes import cube
from pipeline.index import leakage
from pipeline.index.split import NAMES
from pipeline.recipe import Recipe
from pipeline.sites.site import Site

log = logging.getLogger(__name__)
TABLES = ("site_pairs", "sites", "by_country", "by_country_period", "by_period", "by_interval",
          "acquisitions", "spectra", "balance", "leakage")  # fmt: skip
VERSION = 2
"""Of the tables: raise it when the same cubes give others."""
BINS = 64
"""Of the histograms, up to an encoding's full scale; what is brighter counts in the last bin."""
SUMS = ("changed", "unknown", "pairs", "pairs_with_change", "pixels", "images", "mine", "background")
PAIR_COLUMNS, PERIOD_COLUMNS = (
    ["tile_id", "split", "changed", "unknown"], ["tile_id", "mine_fraction", "unknown_fraction"],
)  # fmt: skip
BALANCE = ["split", "sites", "tiles", "pairs", "pairs_with_change", "changed", "unchanged", "unknown",
           "images", "mine", "background"]  # fmt: skip
SITE_PAIR = ["site_id", "t1", "t2", "interval", "known_km2", "expanded_km2", "reduced_km2", "changed_km2"]
SITE_PERIOD = ["site_id", "period", "known_km2", "footprint_km2", "expanded_km2", "reduced_km2"]


@dataclass(frozen=True)
class Task:
    """One site's work."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site


def build(
    benchmark: BenchmarkPaths, recipe: Recipe, sites: list[Site], tiles: pd.DataFrame, spread: Spread
) -> None:
    """Count everything and write the tables; those of pairs and of tiles' periods are there already."""
    gathered = Gathered(recipe)
    for counted in each_site("statistics", [Task(benchmark, recipe, site) for site in sites], _count, spread):
        gathered.add(counted)
    found = gathered.tables(sites)
    found["balance"] = balance(benchmark, tiles)
    found["leakage"] = leakage.measure(sites, tiles, recipe)
    for name in TABLES:
        tables.write(found[name], table_path(benchmark, name))


def table_path(benchmark: BenchmarkPaths, name: str) -> Any:
    return benchmark.table(f"statistics/{name}")


def read(benchmark: BenchmarkPaths) -> dict[str, pd.DataFrame]:
    """All tables by name."""
    return {name: tables.read(table_path(benchmark, name), "tile") for name in TABLES}


@dataclass
class Counted:
    """A site's rows of `site_pairs`, of periods and of `acquisitions`, and histograms (date, band,
    [unchanged, changed], bin) of the first and last image of its longest pair."""

    pairs: list[tuple[Any, ...]] = field(default_factory=list)
    periods: list[tuple[Any, ...]] = field(default_factory=list)
    days: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    histograms: NDArray[np.int64] | None = None


def _count(task: Task) -> Counted:
    """Count one site."""
    site, path = task.site, task.benchmark.cube(task.site.site_id)
    attributes = store.attributes_of(path)
    labels = list(attributes.get("periods", []))
    if not labels:
        return Counted()
    acquired = attributes.get("acquired", {})
    ends = {p: (min(days), max(days)) for p in labels if (days := acquired.get(p))}
    masks = Labels.read(path)
    if (counted := site.counted()) is not None:
        masks = masks.within(counted)
    counts = masks.counts()
    found = Counted(days=[(site.site_id, p, *ends.get(p, (None, None))) for p in labels])
    for (t1, t2), count in counts.items():
        known = masks.mine[0].size - count.unknown
        sizes = [np.nan if n is None else n * site.pixel_km2 for n in (known, *count[1:3], count.changed)]
        found.pairs.append((site.site_id, t1, t2, periods.interval(t1, t2), *sizes))
    if masks.change is None:
        found.periods = list(_periods(site, masks, counts))
    if counts:
        longest = list(counts)[-1] if masks.change is not None else (labels[0], labels[-1])
        found.histograms = _spectra(path, masks, longest, task.recipe)
    return found


def _periods(site: Site, masks: Labels, counts: dict[tuple[str, str], Count]) -> Iterator[tuple[Any, ...]]:
    known = masks.known()
    for i, label in enumerate(masks.periods):
        since = counts[masks.periods[i - 1], label][1:3] if i else (np.nan, np.nan)
        sizes = (known[i].sum(), ((masks.mine[i] == 1) & known[i]).sum(), *since)
        yield (site.site_id, label, *(float(n) * site.pixel_km2 for n in sizes))


def _spectra(path: Any, masks: Labels, pair: tuple[str, str], recipe: Recipe) -> NDArray[np.int64]:
    """Histograms of the first and last image of the site's longest pair."""
    changed = masks.label(*pair)
    dates = [masks.periods.index(period) for period in pair]
    return np.stack([_histograms(cube.images(path, recipe, date), changed, recipe) for date in dates])


@dataclass
class Gathered:
    """Rows of all sites so far, and the sums over them."""

    recipe: Recipe
    pair_rows: list[tuple[Any, ...]] = field(default_factory=list)
    period_rows: list[tuple[Any, ...]] = field(default_factory=list)
    days: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    histograms: NDArray[np.int64] | None = None

    def add(self, counted: Counted) -> None:
        self.pair_rows += counted.pairs
        self.period_rows += counted.periods
        self.days += counted.days
        if counted.histograms is not None:
            self.histograms = counted.histograms + (0 if self.histograms is None else self.histograms)

    def tables(self, sites: list[Site]) -> dict[str, pd.DataFrame]:
        site_pairs = pd.DataFrame(self.pair_rows, columns=SITE_PAIR)
        by_site = pd.DataFrame(self.period_rows, columns=SITE_PERIOD)
        days = pd.DataFrame(self.days, columns=["site_id", "period", "first_day", "last_day"])
        each = per_site(sites, site_pairs, by_site, days)
        return {
            "site_pairs": site_pairs,
            "sites": each,
            "by_country": by_country(each),
            "by_country_period": by_country_period(by_site, each),
            "by_period": by_period(by_site),
            "by_interval": by_interval(site_pairs),
            "acquisitions": days,
            "spectra": self._spectra_table(),
        }

    def _spectra_table(self) -> pd.DataFrame:
        bands = self.recipe.sensor.bands
        counts = np.zeros((2, len(bands), 2, BINS), np.int64) if self.histograms is None else self.histograms
        encoding = self.recipe.sensor.encoding
        step, first = encoding.full_scale // BINS, encoding.lowest
        rows = [
            (band, area, first + k * step, first + (k + 1) * step, *(int(counts[d, b, c, k]) for d in (0, 1)))
            for b, band in enumerate(bands)
            for c, area in enumerate(("unchanged", "changed"))
            for k in range(BINS)
        ]
        return pd.DataFrame(rows, columns=["band", "area", "low", "high", "before", "after"])


def _histograms(image: NDArray[Any], changed: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.int64]:
    """(band, [unchanged, changed], bin) counts of an image's pixels."""
    step = recipe.sensor.encoding.full_scale // BINS
    counts = np.zeros((len(image), 2, BINS), np.int64)
    for value in (0, 1):
        inside = changed == value
        for band, pixels in enumerate(image):
            places = np.minimum(pixels[inside] // step, BINS - 1)
            counts[band, value] = np.bincount(places, minlength=BINS)
    return counts


def per_site(
    sites: list[Site], site_pairs: pd.DataFrame, by_site: pd.DataFrame, days: pd.DataFrame
) -> pd.DataFrame:
    """One row per site with images. `changed_km2` is of its longest labelled pair."""
    rows = []
    footprints, changes = tables.by_text(by_site, "site_id"), tables.by_text(site_pairs, "site_id")
    dates = tables.by_text(days, "site_id")
    for site in sites:
        seen = dates.get(site.site_id)
        if seen is None:
            continue
        first, last = seen.iloc[0], seen.iloc[-1]
        row = {"site_id": site.site_id, "country": site.country, "production": site.production,
               "first_period": first.period, "last_period": last.period,
               "first_day": first.first_day, "last_day": last.last_day,
               "months": _months(first.first_day, last.last_day)}  # fmt: skip
        rows.append({**row, **_areas(footprints.get(site.site_id), changes.get(site.site_id))})
    columns = ["site_id", "country", "production", "first_period", "last_period", "first_day", "last_day",
               "months", "known_km2", "footprint_first_km2", "footprint_last_km2", "changed_km2"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _months(first: Any, last: Any) -> float:
    """Months between two days; NaN where one is not known."""
    if pd.isna(first) or pd.isna(last):
        return float("nan")
    return months_between(date.fromisoformat(first), date.fromisoformat(last))


def _areas(footprints: pd.DataFrame | None, changes: pd.DataFrame | None) -> dict[str, float]:
    found = dict.fromkeys(("known_km2", "footprint_first_km2", "footprint_last_km2", "changed_km2"), np.nan)
    if changes is not None and (known := changes[changes.known_km2 > 0]).size:
        longest = known.iloc[known.interval.argmax()]
        found |= {"known_km2": longest.known_km2, "changed_km2": longest.changed_km2}
    if footprints is not None and (known := footprints[footprints.known_km2 > 0]).size:
        found |= {"known_km2": known.known_km2.max(), "footprint_first_km2": known.footprint_km2.iloc[0],
                  "footprint_last_km2": known.footprint_km2.iloc[-1]}  # fmt: skip
    return found


def by_country(each: pd.DataFrame) -> pd.DataFrame:
    """Sums by country and production type. A sum over sites that are all unknown is NaN."""
    table = each.assign(country=each.country.fillna("unknown"), production=each.production.fillna("unknown"))
    columns = ["known_km2", "footprint_first_km2", "footprint_last_km2", "changed_km2"]
    grouped = table.groupby(["country", "production"])
    sums = grouped[columns].sum(min_count=1)
    sums.insert(0, "sites", grouped.size())
    sums["months"] = grouped.months.mean()
    return sums.reset_index()


def by_country_period(by_site: pd.DataFrame, each: pd.DataFrame) -> pd.DataFrame:
    """Sums by country and period over the sites that are known in it."""
    country = each.set_index("site_id").country.fillna("unknown")
    known = by_site[by_site.known_km2 > 0]
    grouped = known.assign(country=known.site_id.map(country)).groupby(["country", "period"])
    table = grouped.agg(sites=("site_id", "nunique"), known_km2=("known_km2", "sum"),
                        footprint_km2=("footprint_km2", "sum"))  # fmt: skip
    return table.reset_index()


def by_period(by_site: pd.DataFrame) -> pd.DataFrame:
    """Sums by period over the sites that are known in it. What changed is since a site's period before,
    so the first has none."""
    known = by_site[by_site.known_km2 > 0].groupby("period")
    table = known.agg(sites=("site_id", "nunique"), known_km2=("known_km2", "sum"),
                      footprint_km2=("footprint_km2", "sum"))  # fmt: skip
    for column in ("expanded_km2", "reduced_km2"):
        table[column] = known[column].sum(min_count=1)
    table = table.reset_index()
    table.insert(4, "share", table.footprint_km2 / table.known_km2)
    return table.assign(total_km2=table.expanded_km2 + table.reduced_km2)


def by_interval(site_pairs: pd.DataFrame) -> pd.DataFrame:
    """Means by interval over the pairs of periods that lie so far apart, each summed over the sites first
    (EuroMineNet's table 3). `scenes` is how many such pairs there are, in a series without gaps one for each
    start; `accumulated_km2` is all change, expanded and reduced."""
    areas = ["known_km2", "expanded_km2", "reduced_km2", "changed_km2"]
    known = site_pairs[site_pairs.known_km2 > 0]
    of_all_sites = known.groupby(["interval", "t1", "t2"])[areas].sum(min_count=1).groupby("interval")
    table = of_all_sites.mean()
    table.insert(0, "scenes", of_all_sites.size())
    table = table.rename(columns={"changed_km2": "accumulated_km2"}).reset_index()
    return table.assign(share=table.accumulated_km2 / table.known_km2)


def balance(benchmark: BenchmarkPaths, tiles: pd.DataFrame) -> pd.DataFrame:
    """Classes of each split as its models see them: pixels count once a tile and pair (or period). The
    tables of pairs and of tiles' periods are read part by part."""
    size = (tiles.height * tiles.width).set_axis(tiles.tile_id)
    of_tile = tiles.split.set_axis(tiles.tile_id)
    sums = pd.DataFrame(0.0, index=list(NAMES), columns=list(SUMS))
    for part in tables.batches(benchmark.table("pairs"), "tile", PAIR_COLUMNS):
        own = part[["split", "changed", "unknown"]].assign(
            pairs=1, pairs_with_change=part.changed > 0, pixels=size.reindex(part.tile_id).to_numpy()
        )
        sums = sums.add(own.groupby("split").sum().reindex(NAMES), fill_value=0)
    for part in tables.batches(benchmark.table("tile_periods"), "tile", PERIOD_COLUMNS):
        seen = size.reindex(part.tile_id).to_numpy() * (1 - part.unknown_fraction.to_numpy())
        mine, background = (seen * share for share in (part.mine_fraction, 1 - part.mine_fraction))
        own = pd.DataFrame({
            "split": of_tile.reindex(part.tile_id).to_numpy(), "images": 1, "mine": mine.to_numpy(),
            "background": background.to_numpy(),
        })  # fmt: skip
        sums = sums.add(own.groupby("split").sum().reindex(NAMES), fill_value=0)
    whole = sums.round().astype("int64")
    counts = tiles.groupby("split").agg(sites=("site_id", "nunique"), tiles=("tile_id", "size"))
    table = counts.reindex(NAMES, fill_value=0).join(whole)
    table["unchanged"] = table.pixels - table.changed - table.unknown
    return table.rename_axis("split").reset_index()[BALANCE]
