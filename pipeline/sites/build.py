"""Stage `sites`: mine list to sites, each with one AOI and one grid. Writes index/sites.parquet."""

import glob
import logging
import mmap
import os
import re
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench import cores, receipts, tables
from minebench.errors import InputError, NotMadeYet
from minebench.files import sha256
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from pipeline.geo import geodesy, grid
from pipeline.published import sites as imported_sites
from pipeline.recipe import Filters, Recipe
from pipeline.recipe import Sites as Rule
from pipeline.sites import mines, overlaps, published, repairs, site_ids, spikes
from pipeline.sites.overlaps import POLYGONS

log = logging.getLogger(__name__)
LEAST_KM2 = 1e-6
LARGEST_PIXELS = 4 * 10**8
"""Of a site: 200 km x 200 km at 10 m, 24 km x 24 km at 1.2 m. What is larger is hardly a mine."""
START = "production_start"
VERSION = 2
"""Of the table: raise it when the same list comes out otherwise."""


def build(benchmark: BenchmarkPaths, recipe: Recipe) -> gpd.GeoDataFrame:
    """Make and write the table of sites, where it is not there yet. Returns it."""
    path = benchmark.table("sites")
    if recipe.source.is_published:
        sites = imported_sites.lay_out(benchmark, recipe, recipe.source.published(benchmark.root))
    else:
        key = _key(benchmark, recipe)
        if (held := _held(path, key)) is not None:
            return held
        sites = lay_out(benchmark, recipe)
        sites.attrs[receipts.KEY] = key
    tables.write(sites, path)
    return sites


def _key(benchmark: BenchmarkPaths, recipe: Recipe) -> str:
    """What the table is made of: the lists, and the rules of the recipe."""
    rule, sensor = recipe.sites.model_dump(mode="json"), recipe.sensor
    files = [path for path in sorted(_lists(benchmark, recipe.sites)) if path.is_file()]
    lists = {path.name: sha256(path) for path in files}
    del rule["accept_repairs"]  # it decides whether the table is made, not how
    if rule["filters"]["bounds"] is None:
        del rule["filters"]["bounds"]  # as before there was this filter
    parts = [VERSION, rule, sensor.resolution, sensor.step, recipe.profile.corner_m, lists]
    if _may_say_start(recipe.sites, files):
        parts.append(START)  # tables from before lack this column
    return receipts.fingerprint(parts)


def _may_say_start(rule: Rule, lists: Iterable[Path]) -> bool:
    """Whether one of the lists may say when production began: by the recipe, or as its name occurs in it."""
    named = [(rule.mines, rule.columns), *([(rule.join.file, rule.join.columns)] if rule.join else [])]
    return any(
        START in columns or (name in published.LISTS and START in published.LISTS[name].columns)
        for name, columns in named
    ) or any(_holds(path, START.encode()) for path in lists)


def _holds(path: Path, word: bytes) -> bool:
    """Whether a word occurs in a file, in letters of any case."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:  # which cannot be mapped
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return re.search(word, content, re.IGNORECASE) is not None


def _lists(benchmark: BenchmarkPaths, rule: Rule) -> set[Path]:
    """The files that the recipe names and those beside them (a shapefile is several), and the units of GADM.
    A published list is what its name says: its files are watched."""
    named = [rule.mines, *([rule.join.file] if rule.join else [])]
    own = [
        folder / name
        for name in named
        if name not in published.LISTS
        for folder in (benchmark.mines, benchmark.root)
    ]
    found = {p for f in own if os.path.isdir(f.parent) for p in f.parent.glob(f"{glob.escape(f.stem)}.*")}  # noqa: PTH112
    return found | {*(benchmark.mines / "gadm").glob("*.gpkg")}


def _held(path: Path, key: str) -> gpd.GeoDataFrame | None:
    """The table that is there, of that key; None where there is no sound one."""
    told = receipts.read(path)
    if told.get(receipts.KEY) != key:
        return None
    try:
        sites = tables.read_geo(path, "sites")
    except NotMadeYet:
        return None
    sites.attrs = dict(told.items())
    return sites


def lay_out(benchmark: BenchmarkPaths, recipe: Recipe) -> gpd.GeoDataFrame:
    """The table of sites: one row an AOI, with `geometry` (AOI), `footprint` and `elsewhere` (ground of
    the AOI that another site counts) in EPSG:4326, and its grid as epsg, left, top (metres), height, width
    (pixels). `parts` says how many sites its mine became, `part` which of them it is. The table's attrs
    `mines` and `several` are how many mines it is of, and how many of those became several sites; `points`
    how many of them are listed as points, and `repairs` what was repaired, if any. `production_start` is the
    earliest year in which one of a site's mines is said to have begun; there is no such column where no mine
    says it."""
    found = mines.read(benchmark, recipe.sites)
    if found.repaired:
        log.warning("repaired invalid geometry in rows %s", ", ".join(map(str, found.repaired)))
    rows = np.arange(len(found.mines)) + 1
    listed = found.mines.assign(row=rows, repaired=np.isin(rows, list(found.repaired)))
    if recipe.sites.group_m:
        # Parts of one multipolygon may lie kilometres apart: distance decides what is one site.
        exploded = listed.explode(ignore_index=True)
        assert isinstance(exploded, gpd.GeoDataFrame)  # it keeps its geometry
        listed = exploded
    listed = polygons_from(listed, recipe.sites.point_radius_m)
    listed = cut_spikes(listed, recipe.sensor.resolution)
    listed = with_production(listed, recipe.sites.production)
    # A spike that was a polygon of its own is gone.
    kept = apply_filters(listed[~listed.geometry.is_empty], recipe.sites.filters)
    if kept.empty:
        raise InputError(
            f"{benchmark.recipe}: sites.filters leave none of the {len(listed)} mines; loosen them."
        )
    repaired = repairs.check(listed, kept, found.repaired, recipe.sites.accept_repairs)
    sites = group(kept, recipe, Path(recipe.sites.mines).name, _known_ids(benchmark))
    if repaired is not None:
        sites.attrs["repairs"] = repaired.told()
    return sites


def _known_ids(benchmark: BenchmarkPaths) -> set[str]:
    """The ids of the sites that are laid out, labelled, or released, already."""
    ids = {path.stem for path in benchmark.annotations.rglob("*.gpkg")}
    for path in (benchmark.table("sites"), benchmark.stac / "splits.parquet"):
        with suppress(NotMadeYet):
            ids |= {*tables.read(path, "sites", ["site_id"]).site_id}
    return ids


def polygons_from(listed: gpd.GeoDataFrame, radius_m: float) -> gpd.GeoDataFrame:
    """The mines as polygons: points become boxes of half side `radius_m`; `is_box` says which."""
    is_box = ~listed.geometry.geom_type.isin([*POLYGONS, "GeometryCollection"])
    shapes = listed.geometry.to_numpy().copy()
    boxes = is_box.to_numpy()
    shapes[boxes] = _boxes_around(shapes[boxes], radius_m)
    shapes[~boxes] = [mines.polygons_of(shape) for shape in shapes[~boxes]]
    table = listed.set_geometry(gpd.GeoSeries(shapes, index=listed.index, crs=4326), inplace=False)
    table = table.assign(is_box=is_box, area_km2=[geodesy.area_km2(shape) for shape in shapes])
    rows = table["row"] if "row" in table else pd.Series(np.arange(len(table)) + 1, index=table.index)
    is_flat = table["area_km2"] < LEAST_KM2
    if (none_left := rows[is_flat.groupby(rows).transform("all")]).size:
        raise InputError(
            f"The mine list's row {none_left.iloc[0]} is a polygon without area (less than a square metre): "
            "remove it."
        )
    # A crumb beside polygons, as repairing leaves them, is no mine.
    return table[~is_flat].reset_index(drop=True) if is_flat.any() else table


def cut_spikes(listed: gpd.GeoDataFrame, pixel_m: float) -> gpd.GeoDataFrame:
    """The mines without spikes (`pipeline.sites.spikes`); `spiky` says which had one. `drawn` is the shape
    before, from which ids are made, and `drawn_km2` its area."""
    shapes = listed.geometry.to_numpy().copy()
    outlines = np.flatnonzero(~listed.is_box.to_numpy())
    shapes[outlines] = spikes.without(shapes[outlines], listed.row.to_numpy()[outlines].tolist(), pixel_m)
    spiky = np.array([new is not old for new, old in zip(shapes, listed.geometry, strict=True)], bool)
    areas = listed.area_km2.to_numpy().copy()
    drawn = gpd.GeoSeries(listed.geometry.to_numpy(), index=listed.index, crs=4326)
    table = listed.assign(drawn=drawn, drawn_km2=areas.copy(), spiky=spiky, repaired=listed.repaired | spiky)
    areas[spiky] = [geodesy.area_km2(shape) for shape in shapes[spiky]]
    table = table.assign(area_km2=areas)
    return table.set_geometry(gpd.GeoSeries(shapes, index=listed.index, crs=4326), inplace=False)


def with_production(listed: gpd.GeoDataFrame, kinds: dict[str, tuple[str, ...]]) -> gpd.GeoDataFrame:
    """Production types filled in from commodities where the list names none: the type one of whose
    words the commodity contains."""
    if not kinds:
        return listed
    words = [(word.lower(), kind) for kind, commodities in kinds.items() for word in commodities]

    def kind_of(commodity: object) -> str | None:
        text = commodity.lower() if isinstance(commodity, str) else ""
        return next((kind for word, kind in words if word in text), None)

    return listed.assign(production=listed["production"].fillna(listed["commodity"].map(kind_of)))


def apply_filters(listed: gpd.GeoDataFrame, filters: Filters) -> gpd.GeoDataFrame:
    """Mines that pass every filter given. Text is compared without regard to case."""
    keep = pd.Series(True, index=listed.index)
    for column, wanted in (
        ("country", filters.country),
        ("commodity", filters.commodity),
        ("status", filters.status),
    ):
        if wanted:
            keep &= listed[column].str.lower().isin([value.lower() for value in wanted])
    if filters.equipment:
        keep &= listed["equipment"].str.contains(filters.equipment, case=False, regex=False, na=False)
    first, last = filters.production_start
    if first is not None:
        keep &= listed["production_start"].ge(first).fillna(False)
    if last is not None:
        keep &= listed["production_start"].le(last).fillna(False)
    if filters.min_area_km2 is not None:
        keep &= listed["area_km2"].ge(filters.min_area_km2)
    if filters.max_area_km2 is not None:
        keep &= listed["area_km2"].le(filters.max_area_km2)
    if filters.bounds is not None:
        lon, lat = geodesy.centres(listed.geometry.to_numpy()).T
        west, south, east, north = filters.bounds
        keep &= (west <= lon) & (lon <= east) & (south <= lat) & (lat <= north)
    return listed[keep].reset_index(drop=True)


def group(
    kept: gpd.GeoDataFrame, recipe: Recipe, source: str, known: Container[str] = ()
) -> gpd.GeoDataFrame:
    """One row per site: mines closer than `group_m` together, sorted by site_id. `known` are ids that sites
    have already."""
    if "row" not in kept:
        kept = kept.assign(row=np.arange(len(kept)) + 1)
    if "drawn" not in kept:
        kept = kept.assign(drawn=kept.geometry)
    within = recipe.sites.group_m
    near = geodesy.near_pairs(list(kept.geometry), within) if within else iter(())
    together = geodesy.groups(len(kept), near)
    sites = _table(kept, together, recipe, source)
    while recipe.sites.overlap == "merge" and (over := _overlapping(sites, recipe)):
        joined = geodesy.groups(len(sites), iter(over))
        together = [sorted(m for place in places for m in together[place]) for places in joined]
        sites = _table(kept, together, recipe, source)
    counted = _counted_parts(sites, kept, together)
    sites = sites.assign(part=counted["part"], parts=counted["parts"])
    sites = sites.drop_duplicates("site_id")
    short = site_ids.short_ids(sites.site_id.tolist())
    sites = sites.assign(site_id=site_ids.known(short, sites.name.tolist(), known))
    sites = sites.sort_values("site_id").reset_index(drop=True)
    if recipe.sites.per_country:
        sites = largest_of(sites, recipe.sites.per_country)
    # The hash at an id's end makes a fixed sample that is spread over the list.
    sample = sites.site_id.str[-6:].rank(method="first").le(recipe.sites.limit or len(sites))
    sites = _without_overlap(sites[sample].reset_index(drop=True), recipe)
    if sites[START].isna().all():
        sites = sites.drop(columns=START)
    sites.attrs = {"mines": int(kept.row.nunique()), "several": counted["several"]}
    if points := int(kept.row[kept.is_box].nunique()):
        sites.attrs["points"] = points
    return sites


def _table(
    kept: gpd.GeoDataFrame, together: list[list[int]], recipe: Recipe, source: str
) -> gpd.GeoDataFrame:
    """One row a group of mines, in the groups' order."""
    parts = [together[first : first + AT_ONCE] for first in range(0, len(together), AT_ONCE)]
    rows = []
    # Threads, because GEOS and PROJ work outside of Python's lock.
    with progress("sites", len(together), "sites") as advance, ThreadPoolExecutor(cores.count()) as pool:
        for some in pool.map(lambda part: _sites(kept, part, recipe, source), parts):
            rows.append(some)
            advance(len(some))
    sites = gpd.GeoDataFrame(pd.concat(rows, ignore_index=True), geometry="geometry", crs=4326)
    sites["footprint"] = gpd.GeoSeries(sites["footprint"], crs=4326)
    return sites


AT_ONCE = 500
"""Sites that are laid out together, in arrays."""


def _overlapping(sites: gpd.GeoDataFrame, recipe: Recipe) -> list[tuple[int, int]]:
    return overlaps.pairs(list(sites.geometry), recipe.sensor.resolution**2 / 1e6)


def _without_overlap(sites: gpd.GeoDataFrame, recipe: Recipe) -> gpd.GeoDataFrame:
    """The sites with the ground that another one counts; clipped, their AOIs end there."""
    pixel_km2 = recipe.sensor.resolution**2 / 1e6
    theirs = overlaps.shared_ground(sites, pixel_km2)
    sites = sites.assign(elsewhere=gpd.GeoSeries(theirs, crs=4326))
    if recipe.sites.overlap != "clip" or not any(theirs):
        return sites
    left = [
        area if other is None else shapely.difference(area, other)
        for area, other in zip(sites.geometry, theirs, strict=True)
    ]
    sites = sites.set_geometry(gpd.GeoSeries(left, crs=4326), inplace=False)
    gone = np.array([geodesy.area_km2(area) < pixel_km2 for area in left])
    if gone.any():
        log.warning("left out, all of their ground is other sites': %s", ", ".join(sites.site_id[gone]))
    return sites[~gone].reset_index(drop=True)


def _counted_parts(
    sites: gpd.GeoDataFrame, kept: gpd.GeoDataFrame, together: list[list[int]]
) -> dict[str, Any]:
    """Of each site how many sites its mine became and which of them it is, the largest first; and how
    many mines became several."""
    area = kept["area_km2"].to_numpy()
    rows = kept["row"].to_numpy()
    named = [int(rows[max(members, key=lambda m: (area[m], -m))]) for members in together]
    table = pd.DataFrame({"row": named, "area": sites.area_km2.to_numpy(), "site_id": sites.site_id})
    order = table.sort_values(["area", "site_id"], ascending=[False, True])
    part = order.groupby("row").cumcount().add(1).reindex(table.index)
    parts = table.groupby("row").row.transform("size")
    places = [{int(rows[m]) for m in members} for members in together]
    spread = pd.Series([row for there in places for row in there]).value_counts()
    return {"part": part.to_numpy(), "parts": parts.to_numpy(), "several": int((spread > 1).sum())}


def largest_of(sites: gpd.GeoDataFrame, wanted: dict[str, int]) -> gpd.GeoDataFrame:
    """The sites of the largest footprints in each country named, as many as wanted or as there are."""
    rank = sites.groupby("country").area_km2.rank(method="first", ascending=False)
    for country, count in wanted.items():
        if (found := int((sites.country == country).sum())) < count:
            log.warning("%s: %d sites wanted, %d listed", country, count, found)
    kept = sites[rank <= sites.country.map(wanted).fillna(0)].reset_index(drop=True)
    if kept.empty:
        raise InputError(f"sites.per_country: no mine lies in {', '.join(wanted)}.")
    return kept


def _sites(kept: gpd.GeoDataFrame, together: list[list[int]], recipe: Recipe, source: str) -> pd.DataFrame:
    """The rows of some groups of mines. All geometry is done in arrays, a call for all of them."""
    areas, shapes = kept["area_km2"].to_numpy(), kept.geometry.to_numpy()
    # The largest polygon names the site, so a small neighbour added later changes no site_id.
    together = [sorted(members, key=lambda m: -areas[m]) for members in together]
    flat = np.concatenate(together)
    ends = np.cumsum([len(members) for members in together])[:-1]
    epsg = np.array([geodesy.utm_epsg(*place) for place in geodesy.centres(_united(shapes[flat], ends))])
    # Vertex by vertex, then united: in UTM a polygon over the antimeridian is an ordinary one.
    own = np.repeat(epsg, [len(members) for members in together])
    outlines = _united(geodesy.project_each(shapes[flat], 4326, own), ends)
    largest = kept.iloc[[members[0] for members in together]]
    boxes, aois = areas_of_interest(outlines, epsg, recipe)
    for box, row in zip(boxes, largest.index, strict=True):
        if box.height * box.width > LARGEST_PIXELS:
            raise _too_large(box, largest.loc[row], recipe)
    names = [_text(name) for name in largest["name"]]
    is_box, repaired = kept["is_box"].to_numpy(bool), kept["repaired"].to_numpy(bool)
    wanted = recipe.sites.geometry == "footprint"
    footprints = geodesy.to_lonlat_each(outlines, epsg)
    return pd.DataFrame({
        "site_id": [*map(site_ids.site_id, names, largest["drawn"])],
        "name": names,
        "country": largest["country"].to_numpy(),
        "commodity": [_first_given(kept["commodity"].to_numpy()[m]) for m in together],
        "production": [_first_given(kept["production"].to_numpy()[m]) for m in together],
        START: pd.array([_earliest(kept[START].to_numpy()[m]) for m in together], dtype="Int64"),
        "source": source,
        "area_km2": [round(outline.area / 1e6, 6) for outline in outlines],
        "epsg": epsg,
        "left": [box.transform.c for box in boxes],
        "top": [box.transform.f for box in boxes],
        "height": [box.height for box in boxes],
        "width": [box.width for box in boxes],
        "mines": [len(members) for members in together],
        "repaired": [bool(repaired[members].any()) for members in together],
        "geometry": geodesy.to_lonlat_each(aois, epsg),
        "footprint": [
            shape if wanted and not is_box[members].any() else None
            for shape, members in zip(footprints, together, strict=True)
        ],
    })  # fmt: skip


def _earliest(years: NDArray[Any]) -> int | None:
    """The earliest year of those that are known and may be one."""
    known = [int(year) for year in years if not pd.isna(year) and 1000 <= year <= 2200 and year == int(year)]
    return min(known, default=None)


def _united(shapes: NDArray[Any], ends: NDArray[np.int64]) -> NDArray[Any]:
    """The union of each run of shapes; runs end at `ends`."""
    return np.array([shapely.union_all(run) for run in np.split(shapes, ends)], dtype=object)


def _too_large(box: GeoBox, mine: pd.Series, recipe: Recipe) -> InputError:
    called = f"{mine['name']} (row {mine['row']})" if _text(mine["name"]) else f"row {mine['row']}"
    return InputError(
        f"The mine list's {called} makes a site of {box.width:,} x {box.height:,} pixels of "
        f"{recipe.sensor.resolution:g} m, more than {LARGEST_PIXELS:,}: check its shape, lower "
        "sites.buffer_m, group_m or point_radius_m, or set sites.filters.max_area_km2."
    )


def _text(value: object) -> str:
    """A cell as text; empty where there is none."""
    return "" if value is None or value is pd.NA or value != value else str(value)


def areas_of_interest(
    outlines: NDArray[Any], epsg: NDArray[np.int64], recipe: Recipe
) -> tuple[list[GeoBox], NDArray[Any]]:
    """The grids and the AOIs (UTM) around sites' outlines (UTM): buffered, squared, snapped."""
    rule, sensor = recipe.sites, recipe.sensor
    buffered = shapely.buffer(outlines, rule.buffer_m, quad_segs=16) if rule.buffer_m else outlines
    left, bottom, right, top = shapely.bounds(buffered).T
    width, height = (np.maximum(side, rule.min_size_m) for side in (right - left, top - bottom))
    if rule.square:
        width = height = np.maximum(width, height)
    boxes = [
        grid.around(
            (x, y), across, up, int(code), sensor.resolution, sensor.step, recipe.profile.corner_m,
            exact=rule.buffer_m == 0,
        )
        for x, y, across, up, code in zip(
            (left + right) / 2, (bottom + top) / 2, width, height, epsg, strict=True
        )
    ]  # fmt: skip
    outer = shapely.box(*np.array([box.boundingbox.bbox for box in boxes]).T)
    return boxes, outer if rule.square else shapely.intersection(buffered, outer)


def _boxes_around(shapes: NDArray[Any], radius_m: float) -> NDArray[Any]:
    """Boxes of half side `radius_m` around points, or around what else has no area (EPSG:4326)."""
    if not len(shapes):
        return shapes
    epsg = [geodesy.utm_epsg(*place) for place in geodesy.centres(shapes)]
    bounds = shapely.bounds(geodesy.project_each(shapes, 4326, epsg))
    boxes = np.asarray(shapely.box(*np.add(bounds, (-radius_m, -radius_m, radius_m, radius_m)).T))
    return geodesy.to_lonlat_each(boxes, epsg)


def _first_given(values: NDArray[Any]) -> str | None:
    return next((str(value) for value in values if not pd.isna(value)), None)
