"""Splits by site: fractions kept, strata spread, near sites together, the same every time."""

import hashlib

import geopandas as gpd

from models.errors import InputError, WorkError
from pipeline import geodesy
from pipeline.recipe import Split

NAMES = ("train", "val", "test")


def assign(sites: gpd.GeoDataFrame, rule: Split) -> dict[str, str]:
    """The split of each site_id.

    Sites whose AOIs touch, or are nearer than `min_distance_m`, form one unit. Within a stratum
    units come in order of a hash of the seed and their site_ids, and each goes where it leaves the
    stratum's and the whole's shares closest to the fractions. WorkError if the result leaks.
    """
    fractions = {name: getattr(rule, name) for name in NAMES}
    wanted = [name for name in NAMES if fractions[name] > 0]
    # AOIs in EPSG:4326 have lost a hair of their UTM corners: a metre keeps touching ones together.
    near = max(rule.min_distance_m, 1.0)
    units = geodesy.groups(len(sites), geodesy.near_pairs(list(sites.geometry), near))
    if len(units) < len(wanted):
        raise InputError(
            f"split: {len(sites)} sites make {len(units)} separate units, too few for "
            f"{', '.join(wanted)}: add mines, lower split.min_distance_m or set a fraction to 0."
        )
    order = sorted(units, key=lambda unit: (_stratum(sites, unit, rule), _hash(sites, unit, rule.seed)))
    chosen = _distribute(sites, order, fractions, wanted, rule)
    splits = {sites.site_id.iloc[i]: name for unit, name in chosen for i in unit}
    _check(sites, splits, rule)
    return splits


def _distribute(
    sites: gpd.GeoDataFrame,
    order: list[list[int]],
    fractions: dict[str, float],
    wanted: list[str],
    rule: Split,
) -> list[tuple[list[int], str]]:
    """Each unit to the split that lacks most, first in its stratum, then over all."""
    total = {name: 0.0 for name in wanted}
    strata: dict[str, dict[str, float]] = {}
    chosen = []
    for left, unit in zip(range(len(order), 0, -1), order, strict=True):
        own = strata.setdefault(_stratum(sites, unit, rule), {name: 0.0 for name in wanted})
        size = len(unit)
        # The last units fill splits that would stay empty.
        empty = [name for name in wanted if total[name] == 0]
        open_to = empty if left <= len(empty) else wanted

        def lack(name: str, own: dict[str, float] = own, size: int = size) -> tuple[float, float, float]:
            in_stratum = fractions[name] * (sum(own.values()) + size) - own[name]
            overall = fractions[name] * (sum(total.values()) + size) - total[name]
            return (round(in_stratum + overall, 9), fractions[name], -wanted.index(name))

        best = max(open_to, key=lack)
        own[best] += size
        total[best] += size
        chosen.append((unit, best))
    return chosen


def _check(sites: gpd.GeoDataFrame, splits: dict[str, str], rule: Split) -> None:
    """Fail rather than publish a leaking split: AOIs of two splits keep their distance."""
    geometries, ids = list(sites.geometry), list(sites.site_id)
    for i, j in geodesy.near_pairs(geometries, max(rule.min_distance_m, 0.0)):
        if splits[ids[i]] != splits[ids[j]]:
            raise WorkError(f"Sites {ids[i]} and {ids[j]} are too close for two splits; this is a defect.")


def _stratum(sites: gpd.GeoDataFrame, unit: list[int], rule: Split) -> str:
    first = sites.iloc[unit[0]]
    return "/".join(str(first[column]) for column in rule.stratify)


def _hash(sites: gpd.GeoDataFrame, unit: list[int], seed: int) -> str:
    ids = ",".join(sorted(sites.site_id.iloc[i] for i in unit))
    return hashlib.sha256(f"{seed}/{ids}".encode()).hexdigest()
