"""Scores by the conditions under which a run's images were taken.

    season         meteorological season of a single date, by the site's hemisphere
    days apart     of the year, between the days of a pair: 1 January and 31 December are one apart
    cloud          of the AOI, per cent, on the cloudier of a pair's days
    sun            elevation in degrees at acquisition, the lower of a pair's

A composite has its clearest day. What a table of scenes does not say is "unknown". Sun: declination and
equation of time of Spencer (1971), good to half a degree.
"""

from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench.metrics.confusion import scores
from models.evaluation.scores import mean_over_sites, total
from pipeline.geo import geodesy

UNKNOWN = "unknown"
SEASONS = ("winter", "spring", "summer", "autumn")
STEPS: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "days apart": ((30.5, 91.5), ("up to 30", "31 to 91", "92 or more")),
    "cloud": ((1, 10), ("up to 1 %", "1 to 10 %", "above 10 %")),
    "sun": ((30, 50), ("up to 30°", "30 to 50°", "above 50°")),
}
"""Upper ends of all groups but the last, and the groups' names."""
COLUMNS = ["run", "task", "condition", "group", "items", "of1", "f1", "precision", "recall"]


def images(scenes: pd.DataFrame, sites: gpd.GeoDataFrame) -> pd.DataFrame:
    """A row for each site and period with an image: `datetime`, `cloud` (per cent), `sun` (degrees) and
    `season`, missing where they are not known."""
    chosen = scenes[scenes.selected].sort_values("day_clear", ascending=False, kind="stable")
    table = chosen.drop_duplicates(["site_id", "period"])[
        ["site_id", "period", "datetime", "day_clear", "dated_by"]
    ]
    table = table.assign(datetime=table.datetime.where(table.dated_by == "acquisition"))
    placed = sites[sites.epsg > 0]
    lonlat = pd.DataFrame(geodesy.centres(placed.geometry.to_numpy()), placed.site_id, ["lon", "lat"])
    table = table.join(lonlat, on="site_id")
    # Without a time of day the sun's elevation is not known.
    has_time = table.datetime.notna() & (table.datetime != table.datetime.dt.normalize())
    sun = elevation(table.datetime, table.lon.to_numpy(float), table.lat.to_numpy(float))
    months = table.datetime.dt.month.add(np.where(table.lat < 0, 6, 0))
    seasons = (months % 12 // 3).map(dict(enumerate(SEASONS)))
    return table.assign(
        cloud=100 * (1 - table.day_clear), sun=np.where(has_time, sun, np.nan),
        season=seasons.where(table.lat.notna()),
    ).set_index(["site_id", "period"])  # fmt: skip


def elevation(when: pd.Series, lon: NDArray[Any], lat: NDArray[Any]) -> NDArray[np.float64]:
    """The sun's elevation in degrees at some times (UTC) and places (degrees east and north)."""
    hours = (when - when.dt.normalize()).dt.total_seconds().to_numpy() / 3600
    angle = 2 * np.pi * (when.dt.dayofyear.to_numpy(float) - 1 + (hours - 12) / 24) / 365
    turns = np.stack([np.cos(k * angle) if c else np.sin(k * angle) for k in (1, 2, 3) for c in (1, 0)])
    declination = 0.006918 + np.tensordot(
        [-0.399912, 0.070257, -0.006758, 0.000907, -0.002697, 0.00148], turns, axes=1
    )
    minutes = 229.18 * (
        0.000075 + np.tensordot([0.001868, -0.032077, -0.014615, -0.040849, 0, 0], turns, axes=1)
    )
    hour_angle = np.radians(15 * (hours - 12) + lon + minutes / 4)
    across = np.cos(np.radians(lat)) * np.cos(declination) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arcsin(np.sin(np.radians(lat)) * np.sin(declination) + across)))


def table(
    runs: dict[str, dict[str, Any]], counts_of: Callable[[str], pd.DataFrame], taken: pd.DataFrame
) -> pd.DataFrame:
    """Scores of runs (metrics by name) by condition and group; `counts_of` has a run's pixel counts, which a
    published table must not hold, as they can be of hidden labels. `items` are images or pairs of sites."""
    rows = []
    for run, metrics in runs.items():
        counts = counts_of(run)
        for condition, groups in grouped(counts, taken).items():
            for group, own in counts.groupby(groups, sort=False):
                found = scores(total(own))
                shown = (found[name] for name in ("f1", "precision", "recall"))
                items = len(own[["site_id", "t1", "t2"]].drop_duplicates())
                of1 = mean_over_sites(own, "f1", weighted=True)
                rows.append((run, metrics["task"], condition, group, items, of1, *shown))
    return pd.DataFrame(rows, columns=COLUMNS)


def grouped(counts: pd.DataFrame, taken: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """The group of each row of counts (site_id, t1, t2) by condition; single dates have t1 and t2 alike."""
    first, second = (
        taken.reindex(pd.MultiIndex.from_frame(counts[["site_id", period]])).reset_index(drop=True)
        for period in ("t1", "t2")
    )
    found = {
        "cloud": np.maximum(first.cloud.to_numpy(), second.cloud.to_numpy()),
        "sun": np.minimum(first.sun.to_numpy(), second.sun.to_numpy()),
    }
    if (counts.t1 == counts.t2).all():
        named = {"season": first.season.astype(object).where(first.season.notna(), UNKNOWN).to_numpy()}
    else:
        apart = (first.datetime.dt.dayofyear - second.datetime.dt.dayofyear).abs().to_numpy(float)
        found, named = {"days apart": np.minimum(apart, 365 - apart), **found}, {}
    return {**named, **{name: _named(values, *STEPS[name]) for name, values in found.items()}}


def _named(
    values: NDArray[np.float64], limits: tuple[float, ...], names: tuple[str, ...]
) -> NDArray[np.object_]:
    places = np.searchsorted(limits, values, side="left")
    return np.where(np.isnan(values), UNKNOWN, np.array(names, object)[np.minimum(places, len(names) - 1)])
