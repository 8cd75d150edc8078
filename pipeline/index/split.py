"""Splits by site: fractions kept, strata spread, near sites together, and the same from release to release.

Papers also draw single tiles, or list sites by hand. Both are here, and both can leak: how much is
measured in `pipeline.index.leakage`.
"""

import hashlib
import logging
from dataclasses import dataclass, field, replace
from itertools import accumulate

import geopandas as gpd
import pandas as pd

from minebench import receipts, tables
from minebench.errors import Damaged, InputError, LeakingSplit
from minebench.layout import BenchmarkPaths
from minebench.text import counted
from pipeline.geo import geodesy, grid
from pipeline.recipe import Split

log = logging.getLogger(__name__)
NAMES = ("train", "val", "test")
UNUSED = "none"
"""Split of a site that none may have: it lies too near to sites of two splits, or to a fold's country."""
VERSION = 2
"""Of what is drawn: raise it when the same sites fall into other splits."""


@dataclass(frozen=True)
class Splits:
    """The split of each site_id. `moved` are sites of the release before that are in another split now
    (before, now), `unused` new sites that would leak between two splits of it."""

    of: dict[str, str]
    kept: int = 0
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    missed: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Splits whose share of the sites is far from the fraction asked for: what it is, and was to be."""
    mend: str = ""
    """What would bring them nearer to it."""

    def __str__(self) -> str:
        if not (self.kept or self.moved or self.unused or self.missed):
            return ""
        parts = [
            f"{name} holds {share:.0%} of the sites, although the recipe asks for {wanted:.0%}: {self.mend}"
            for name, (share, wanted) in self.missed.items()
        ]
        if self.kept or self.moved:
            parts.append(f"{counted(self.kept, 'site')} keep the split of the published release")
        if self.moved:
            parts.append(f"moved: {', '.join(f'{s} ({a} to {b})' for s, (a, b) in self.moved.items())}")
        if self.unused:
            parts.append(f"in no split, because they lie near two: {', '.join(self.unused)}")
        return "; ".join(parts)


def of_sites(benchmark: BenchmarkPaths, sites: gpd.GeoDataFrame, rule: Split) -> Splits:
    """The split of each site by the recipe. With `by: tile` it is the tiles' own; here empty."""
    match rule.by:
        case "site":
            released = read_released(benchmark, rule)
            drawn = assign(sites, rule, released if keeps(released, rule) else None)
            return replace(_compared(drawn, released), missed=_missed(drawn, rule), mend=_mend(rule))
        case "list":
            return Splits(listed(benchmark, sites, rule))
        case _:
            return Splits({site_id: "" for site_id in sites.site_id})


def _missed(drawn: dict[str, str], rule: Split) -> dict[str, tuple[float, float]]:
    """Splits that miss their fractions by more than what is tolerated, relative to them."""
    names = list(drawn.values())
    shares = {name: names.count(name) / len(names) for name in NAMES}
    asked = {name: float(getattr(rule, name)) for name in NAMES}
    far = [name for name in NAMES if abs(shares[name] - asked[name]) > TOLERATED * asked[name] + 1e-9]
    return {name: (shares[name], asked[name]) for name in far}


def _mend(rule: Split) -> str:
    """What of the rule keeps sites together, and may be loosened."""
    mends = ["add mines"]
    if rule.min_distance_m:
        mends.append("lower split.min_distance_m")
    if rule.stratify:
        mends.append("name fewer columns in split.stratify")
    return " or ".join(filter(None, [", ".join(mends[:-1]), mends[-1]]))


@dataclass(frozen=True)
class Released:
    """Splits of the sites of the published release, and the key of the rule that drew them."""

    of: dict[str, str]
    rule: str | None


def read_released(benchmark: BenchmarkPaths, rule: Split) -> Released | None:
    """What the published catalog's table of splits says. InputError where the recipe wants to keep a
    release's splits and there is none, WorkError where the table is damaged."""
    path = benchmark.stac / "splits.parquet"
    if not path.is_file():
        if rule.keep:
            raise InputError(
                f"split.keep: there is no published release at {path}: remove keep, or publish one."
            )
        return None
    table = tables.read(path, "catalog")
    if missing := {"site_id", "split"} - set(table):
        raise Damaged(f"{path} has no column {min(missing)}: take it from the release again, or delete it.")
    told = receipts.read(path).get(RULE)
    return Released(dict(zip(table.site_id, table.split, strict=True)), told)


RULE = "rule"


def rule_key(rule: Split) -> str:
    """What decides the splits, besides the sites."""
    return receipts.fingerprint([VERSION, rule.model_dump(exclude={"keep", "folds", "hidden"})])


def keeps(released: Released | None, rule: Split) -> bool:
    """Whether sites stay in the release's splits: if the recipe says so; where it does not say,
    as long as it draws by the same rule."""
    if released is None:
        return False
    return rule.keep if rule.keep is not None else released.rule == rule_key(rule)


def _compared(drawn: dict[str, str], released: Released | None) -> Splits:
    before = released.of if released else {}
    both = [site_id for site_id in drawn if site_id in before]
    moved = {s: (before[s], drawn[s]) for s in both if drawn[s] != before[s]}
    unused = tuple(s for s, name in drawn.items() if name == UNUSED)
    return Splits(drawn, len(both) - len(moved), moved, unused)


def listed(benchmark: BenchmarkPaths, sites: gpd.GeoDataFrame, rule: Split) -> dict[str, str]:
    """Splits from the recipe's CSV, by site_id or name. InputError names the row or the site."""
    path = benchmark.mines / str(rule.list)
    table = tables.read_csv(path, "split.list")
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
    return {row.site_id: given[getattr(row, key)] for row in tables.each(sites)}


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
    if grid.ungeoreferenced(sites):
        return pd.DataFrame(columns=["scheme", "fold", "site_id", "split"])
    units = units_of(sites, rule)
    rows = [*_k_folds(units, min(rule.folds, len(units))), *_countries(sites, units)]
    return pd.DataFrame(
        [(scheme, fold, sites.site_id.iloc[i], name) for scheme, fold, i, name in rows],
        columns=["scheme", "fold", "site_id", "split"],
    )


@dataclass(frozen=True)
class Unit:
    """Sites that must share a split, by their places in the table. `draw` is the unit's own number in
    0..1, which no other site changes; `stratum` is that of its first member by site_id."""

    members: tuple[int, ...]
    stratum: str
    draw: float


def units_of(sites: gpd.GeoDataFrame, rule: Split) -> list[Unit]:
    """Sites whose AOIs touch, or are nearer than `min_distance_m`, form one unit; units in order of
    stratum and draw."""
    # AOIs in EPSG:4326 have lost a hair of their UTM corners: a metre keeps touching ones together.
    near = max(rule.min_distance_m, 1.0)
    groups = geodesy.groups(len(sites), geodesy.near_pairs(list(sites.geometry), near))
    ids = sites.site_id.tolist()
    found = []
    for members in groups:
        draws = {ids[i]: _draw(ids[i], rule.seed) for i in members}
        # A new neighbour seldom moves its unit: only where it draws lower than all members before.
        first = min(members, key=lambda i: ids[i])
        found.append(Unit(tuple(members), _stratum(sites, first, rule), min(draws.values())))
    return sorted(found, key=lambda unit: (unit.stratum, unit.draw))


def _draw(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _stratum(sites: gpd.GeoDataFrame, place: int, rule: Split) -> str:
    first = sites.iloc[place]
    return "/".join(str(first[column]) for column in rule.stratify)


def _k_folds(units: list[Unit], count: int) -> list[tuple[str, str, int, str]]:
    """Each part is a run of units by their draw, stratum by stratum, so that a new site moves others
    only at the runs' ends."""
    if count < 3:
        return []
    shares = {str(k): 1 / count for k in range(count)}
    part = {unit: int(name) for unit, name in _runs(units, shares).items()}
    rows = []
    for fold in range(count):
        names = {fold: "test", (fold + 1) % count: "val"}
        for unit in units:
            rows += [("kfold", str(fold), i, names.get(part[unit], "train")) for i in unit.members]
    return rows


def _countries(sites: gpd.GeoDataFrame, units: list[Unit]) -> list[tuple[str, str, int, str]]:
    codes = sites.country.fillna("").tolist()
    there = {unit: {codes[i] for i in unit.members} for unit in units}
    rows = []
    for country in sorted(set(codes) - {""}):
        rest = [unit for unit in units if country not in there[unit]]
        if len(rest) < 2:
            continue
        val = max(1, round(len(rest) / 10))
        lowest = sorted(rest, key=lambda unit: unit.draw)[:val]
        names = {i: "train" for unit in rest for i in unit.members}
        names |= {i: "val" for unit in lowest for i in unit.members}
        for i, code in enumerate(codes):
            rows.append(("country", country, i, "test" if code == country else names.get(i, UNUSED)))
    return rows


def assign(sites: gpd.GeoDataFrame, rule: Split, released: Released | None = None) -> dict[str, str]:
    """The split of each site_id.

    A unit's place among the others of its stratum, by a number drawn from its own site_ids and the seed,
    decides (`_runs`). So adding or removing a site moves others only where they stand at the end of a
    split's run. Sites of `released` stay as they are, and new ones fill up what is lacking. LeakingSplit
    if the result leaks.
    """
    fractions = {name: float(getattr(rule, name)) for name in NAMES if getattr(rule, name) > 0}
    units = units_of(sites, rule)
    if len(units) < len(fractions):
        raise InputError(
            f"split: {counted(len(sites), 'site')} in {counted(len(units), 'separate unit')}, too few for "
            f"{', '.join(fractions)}: add mines, lower split.min_distance_m or set a fraction to 0."
        )
    ids = sites.site_id.tolist()
    if released is None:
        chosen = _runs(units, fractions)
        splits = {ids[i]: name for unit, name in chosen.items() for i in unit.members}
    else:
        splits = _extended(units, ids, released.of, fractions)
    _check(sites, splits, rule)
    return splits


def _runs(units: list[Unit], fractions: dict[str, float]) -> dict[Unit, str]:
    """Units to splits by their places among the sites of their stratum, a number in 0..1: the first 70 %
    train, and so on. Each stratum begins at an offset drawn from its own name, so that small ones do not
    all round off the same way."""
    places: dict[Unit, float] = {}
    strata: dict[str, list[Unit]] = {}
    for unit in units:
        strata.setdefault(unit.stratum, []).append(unit)
    for stratum, own in strata.items():
        total, before = sum(len(unit.members) for unit in own), _draw(stratum, 0)
        for unit in own:
            places[unit] = (before + (len(unit.members) - 1) / 2) / total
            before += len(unit.members)
    ends = list(accumulate(fractions.values()))
    spans = {name: (end - fractions[name], end) for name, end in zip(fractions, ends, strict=True)}
    last = list(fractions)[-1]
    chosen = {
        unit: next((name for name, (_, end) in spans.items() if place < end), last)
        for unit, place in places.items()
    }
    return _levelled(chosen, places, spans, fractions)


TOLERATED = 1 / 3
"""How far a split may miss its fraction, relative to it, before units are moved."""


def _levelled(
    chosen: dict[Unit, str], places: dict[Unit, float], spans: dict[str, tuple[float, float]],
    fractions: dict[str, float],
) -> dict[Unit, str]:  # fmt: skip
    """The same with units moved, those nearest to where another split begins first, as long as a split
    misses its fraction by more than what is tolerated and a move brings the whole nearer."""
    total = sum(len(unit.members) for unit in chosen)
    sizes = {name: sum(len(u.members) for u, own in chosen.items() if own == name) for name in fractions}
    while True:
        lack = {name: fractions[name] - sizes[name] / total for name in fractions}
        name = max(lack, key=lambda n: (lack[n] / fractions[n], fractions[n]))
        if lack[name] <= TOLERATED * fractions[name] and sizes[name]:
            return chosen
        # A unit that is larger than what is lacking would only move the fault.
        movable = [
            unit for unit, own in chosen.items()
            if own != name and lack[own] < 0 and sizes[own] > len(unit.members)
            and len(unit.members) / total < lack[name] - lack[own] - 1e-9  # an even swap would go on for ever
        ] or [u for u, own in chosen.items() if not sizes[name] and sizes[own] > len(u.members)]  # fmt: skip
        if not movable:
            return chosen
        low, high = spans[name]
        unit = min(movable, key=lambda u: (max(low - places[u], places[u] - high), places[u]))
        sizes[chosen[unit]] -= len(unit.members)
        sizes[name] += len(unit.members)
        chosen[unit] = name


def _extended(
    units: list[Unit], ids: list[str], before: dict[str, str], fractions: dict[str, float]
) -> dict[str, str]:
    """Released sites as they were; a new site goes with its unit's split, or with none where its unit
    now reaches into two; new units go where most is lacking."""
    splits: dict[str, str] = {}
    fresh = []
    for unit in units:
        names = {before[ids[i]] for i in unit.members if before.get(ids[i], UNUSED) != UNUSED}
        if not names:
            fresh.append(unit)
        for i in unit.members if names else ():
            joined = next(iter(names)) if len(names) == 1 else UNUSED
            splits[ids[i]] = before[ids[i]] if before.get(ids[i], UNUSED) != UNUSED else joined
    sizes = {name: sum(own == name for own in splits.values()) for name in fractions}
    for unit in sorted(fresh, key=lambda unit: unit.draw):
        total = sum(sizes.values()) + len(unit.members)
        name = max(fractions, key=lambda n: (round(fractions[n] * total - sizes[n], 9), fractions[n]))
        sizes[name] += len(unit.members)
        splits |= {ids[i]: name for i in unit.members}
    return splits


def _check(sites: gpd.GeoDataFrame, splits: dict[str, str], rule: Split) -> None:
    """Fail rather than publish a leaking split: AOIs of two splits keep their distance."""
    geometries, ids = list(sites.geometry), list(sites.site_id)
    for i, j in geodesy.near_pairs(geometries, max(rule.min_distance_m, 0.0)):
        a, b = splits[ids[i]], splits[ids[j]]
        if a != b and UNUSED not in (a, b):
            raise LeakingSplit(
                f"Sites {ids[i]} ({a}) and {ids[j]} ({b}) are too close for two splits: set split.keep to "
                "false to draw again."
            )
