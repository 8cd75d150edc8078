"""Splits by site: fractions kept, strata spread, near sites together, the same every time.

Papers also draw single tiles, or list sites by hand. Both are here, and both can leak: how much is
measured in `pipeline.index.leakage`.
"""

import hashlib

import geopandas as gpd
import pandas as pd

from pipeline.core.errors import InputError, WorkError
from pipeline.core.layout import Benchmark
from pipeline.geo import geodesy, grid
from pipeline.recipe import Split

NAMES = ("train", "val", "test")
UNUSED = "none"
"""Split of a site that a fold leaves out: it lies too near to the country under test."""


def of_sites(benchmark: Benchmark, sites: gpd.GeoDataFrame, rule: Split) -> dict[str, str]:
    """The split of each site_id by the recipe. With `by: tile` it is the tiles' own; here empty."""
    match rule.by:
        case "site":
            return assign(sites, rule)
        case "list":
            return listed(benchmark, sites, rule)
        case _:
            return {site_id: "" for site_id in sites.site_id}


def listed(benchmark: Benchmark, sites: gpd.GeoDataFrame, rule: Split) -> dict[str, str]:
    """Splits from the recipe's CSV, by site_id or name. InputError names the row or the site."""
    path = benchmark.mines / str(rule.list)
    try:
        table = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise InputError(f"split.list: there is no file {path}.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).rstrip('.')}.") from None
    key = next((column for column in ("site_id", "name") if column in table), None)
    if key is None or "split" not in table:
        raise InputError(f"{path} needs the columns site_id (or name) and split.")
    for row, value in enumerate(table.split, 2):
        if value not in NAMES:
            raise InputError(f"{path} line {row}: '{value}' is none of {', '.join(NAMES)}.")
    given = dict(zip(table[key], table.split, strict=True))
    missing = sites.site_id[~sites[key].isin(list(given))]
    if len(missing):
        raise InputError(f"{path} has no line for {key} of site {missing.iloc[0]}: add it.")
    return {row.site_id: given[getattr(row, key)] for row in sites.itertuples()}


def of_tiles(tile_ids: list[str], rule: Split) -> dict[str, str]:
    """Tiles drawn at random in the fractions, as INSINet's authors did. Neighbouring tiles fall into
    different splits."""
    order = sorted(tile_ids, key=lambda tile_id: hashlib.sha256(f"{rule.seed}/{tile_id}".encode()).digest())
    ends = [round(len(order) * rule.train), round(len(order) * (rule.train + rule.val))]
    return {tile_id: NAMES[(rank >= ends[0]) + (rank >= ends[1])] for rank, tile_id in enumerate(order)}


def folds(sites: gpd.GeoDataFrame, rule: Split) -> pd.DataFrame:
    """Splits by site for cross-validation: scheme, fold, site_id, split.

    `kfold`: fold k tests on part k and validates on the next; parts are equal in sites and strata as
    far as units allow. `country`: one country is tested on, and a tenth of the others' units is for
    validation; sites of another country that are linked with one of its own are left out (`none`).
    """
    if grid.placeless(sites):
        return pd.DataFrame(columns=["scheme", "fold", "site_id", "split"])
    near = max(rule.min_distance_m, 1.0)
    units = geodesy.groups(len(sites), geodesy.near_pairs(list(sites.geometry), near))
    order = sorted(units, key=lambda unit: (_stratum(sites, unit, rule), _hash(sites, unit, rule.seed)))
    rows = [*_k_folds(order, min(rule.folds, len(units))), *_countries(sites, order)]
    return pd.DataFrame(
        [(scheme, fold, sites.site_id.iloc[i], name) for scheme, fold, i, name in rows],
        columns=["scheme", "fold", "site_id", "split"],
    )


def _k_folds(order: list[list[int]], count: int) -> list[tuple[str, str, int, str]]:
    """Units dealt in turn, so that each stratum is spread over the parts."""
    if count < 3:
        return []
    rows = []
    for fold in range(count):
        names = {fold: "test", (fold + 1) % count: "val"}
        for rank, unit in enumerate(order):
            rows += [("kfold", str(fold), i, names.get(rank % count, "train")) for i in unit]
    return rows


def _countries(sites: gpd.GeoDataFrame, order: list[list[int]]) -> list[tuple[str, str, int, str]]:
    codes = sites.country.fillna("").tolist()
    rows = []
    for country in sorted(set(codes) - {""}):
        rest = [unit for unit in order if not any(codes[i] == country for i in unit)]
        if len(rest) < 2:
            continue
        every = max(2, min(10, len(rest)))
        names = {i: "val" if rank % every == 0 else "train" for rank, unit in enumerate(rest) for i in unit}
        for i, code in enumerate(codes):
            rows.append(("country", country, i, "test" if code == country else names.get(i, UNUSED)))
    return rows


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
