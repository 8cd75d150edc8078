"""Mine lists as users bring them: vector files and CSV, read into one set of columns."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError
from minebench.files import check_links
from minebench.layout import BenchmarkPaths
from pipeline.core.yaml_text import NO_TEXT
from pipeline.geo import countries, geodesy, vector
from pipeline.recipe import Join, Sites
from pipeline.sites import csv_list, gadm, published
from pipeline.sites.overlaps import POLYGONS

COLUMNS = ("name", "country", "commodity", "production", "status", "equipment", "production_start")
"""What a mine list may say of a mine; every list ends up with all of these, empty where silent."""

KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    # In order of preference: Maus et al. v1/v2, Jasansky et al., then common names.
    "name": ("facility_name", "name", "mine_name", "site_name", "tile_id", "mine"),
    "country": ("ISO3_CODE", "GID_0", "iso_a3", "iso3", "COUNTRY_NAME", "country"),
    "commodity": ("primary_commodity", "commodity", "commodities_products"),
    "production": ("production", "production_type", "minetype1"),
    "status": ("activity_status", "status"),
    "equipment": ("facility_equipment", "equipment"),
    "production_start": ("production_start",),
}
NULL_ISLAND = 0.01
"""Degrees around 0° N, 0° E."""
SUFFIXES = (*vector.SUFFIXES, ".csv")


@dataclass(frozen=True)
class MineList:
    """Mines in EPSG:4326 with `COLUMNS`, and the rows (1-based) whose geometry was repaired, with the area
    (km²) that they had before."""

    mines: gpd.GeoDataFrame
    repaired: dict[int, float]


def read(benchmark: BenchmarkPaths, sites: Sites) -> MineList:
    """Return the recipe's mine list, joined with its second list where it names one. InputError also where a
    link leads out of the folder of lists: whoever gave the benchmark may have set it."""
    check_links(benchmark.mines)
    found = _read_named(benchmark, sites.mines, sites.layer, sites.columns, sites.gadm)
    if sites.join is None:
        return found
    second = sites.join
    facilities = _read_named(benchmark, second.file, second.layer, second.columns, sites.gadm)
    return MineList(join_nearest(found.mines, facilities.mines, sites.join), found.repaired)


def _read_named(
    benchmark: BenchmarkPaths, name: str, layer: str | None, columns: dict[str, str], with_gadm: bool
) -> MineList:
    """A published list by its name, or a file."""
    areas = benchmark.mines / "gadm" if with_gadm else None
    if name not in published.LISTS:
        return read_file(_find(benchmark, name), layer, columns, areas)
    # Here and not above: a list of one's own does without the network's libraries.
    from pipeline.sites import list_file

    entry = published.LISTS[name]
    path = list_file.find(name, benchmark.mines)
    known = {ours: theirs for ours, theirs in entry.columns.items() if ours not in columns}
    return read_file(path, layer or _if_there(path, entry.layer), {**known, **columns}, areas)


def _if_there(path: Path, layer: str | None) -> str | None:
    """A list's usual layer; none where the file has another one only, or lets the reader ask."""
    return layer if layer and layer in vector.layers(path) else None


def read_file(path: Path, layer: str | None, columns: dict[str, str], areas: Path | None = None) -> MineList:
    """One mine list. InputError names the file and the row or column, and the mend. `areas` is a
    folder of GADM files, for rows that have no geometry."""
    if unknown := set(columns) - {*COLUMNS, "lon", "lat", "wkt"}:
        raise InputError(
            f"sites.columns: '{sorted(unknown)[0]}' is not one of {', '.join(COLUMNS)}, lon, lat, wkt."
        )
    table = _open(path, layer, columns)
    if table.empty:
        raise InputError(f"{path} lists no mines: it has columns but no rows.")
    if table.crs is None:
        raise InputError(f"{path} does not say its CRS: save it again with one, such as EPSG:4326.")
    if areas is not None:
        table = gadm.fill(table, areas, path)
    _check_geometry(table, path)
    listed, sound = table.geometry, _repaired(table, path)
    is_repaired = [
        new is not old and new.geom_type in POLYGONS for new, old in zip(sound, listed, strict=True)
    ]
    whole = table.set_geometry(sound, inplace=False)
    table = whole.set_crs(table.crs, inplace=False, allow_override=True)
    table = table.to_crs(4326)
    _check_range(table, path)
    mines = _rename(table, columns, path)
    mines["country"] = countries.complete(mines["country"], mines.geometry)
    return MineList(mines, _areas(listed[is_repaired]))


def _areas(listed: gpd.GeoSeries) -> dict[int, float]:
    """The area (km²) of shapes as they are drawn, by row (1-based): what crosses itself counts with both
    signs, what lies over itself twice."""
    placed = listed.to_crs(4326)
    return {int(row) + 1: _polygons_km2(shape) for row, shape in zip(placed.index, placed, strict=True)}


def _polygons_km2(shape: BaseGeometry) -> float:
    """The area of a shape's polygons."""
    return sum(geodesy.area_km2(part) for part in _parts(shape) if part.geom_type == "Polygon")


def join_nearest(mines: gpd.GeoDataFrame, facilities: gpd.GeoDataFrame, join: Join) -> gpd.GeoDataFrame:
    """Fill a mine's empty attributes from the nearest facility within the join's distance."""
    everything = [*mines.geometry, *facilities.geometry]
    nearest: dict[int, tuple[float, int]] = {}
    for i, j in geodesy.near_pairs(everything, join.max_distance_m):
        if i < len(mines) <= j:
            candidate = (geodesy.distance_m(everything[i], everything[j]), j - len(mines))
            nearest[i] = min(nearest.get(i, candidate), candidate)
    joined = mines.copy()
    for i, (_, facility) in nearest.items():
        for column in COLUMNS:
            # A facility's own name says more of a mine than a polygon's number does.
            if column == "name" or pd.isna(joined[column].iloc[i]):
                value = facilities[column].iloc[facility]
                if not pd.isna(value):
                    joined.iloc[i, joined.columns.get_loc(column)] = value
    return joined


def choose_layer(path: Path, layer: str | None) -> str | None:
    """The layer to read; InputError names the layers where a choice is needed or wrong."""
    if (suffix := path.suffix.lower()) not in SUFFIXES:
        raise InputError(f"{path}: mine lists may be {', '.join(SUFFIXES)}, not '{suffix}'.")
    if suffix in {".csv", *vector.PARQUET}:
        return None
    try:
        layers = vector.layers(path)
    except InputError:
        raise
    except Exception:
        raise InputError(f"{path} cannot be read as a mine list: its content is not {path.suffix}.") from None
    if not layers:
        raise InputError(f"{path} lists no mines: it has no layers.")
    if layer is None and len(layers) > 1:
        raise InputError(f"{path} has several layers; name one with layer: {', '.join(layers)}.")
    if layer is not None and layer not in layers:
        raise InputError(f"{path} has no layer '{layer}'; it has {', '.join(layers)}.")
    return layer or layers[0]


def is_of_points(path: Path, layer: str | None) -> bool:
    """Whether a list outlines no mine; False for one that cannot be read, which is told where it is used."""
    try:
        kinds = set(_open(path, layer, {}).geometry.dropna().geom_type)
    except InputError:
        return path.suffix.lower() == ".csv"
    return bool(kinds) and kinds <= {"Point", "MultiPoint"}


def _find(benchmark: BenchmarkPaths, name: str) -> Path:
    for path in (benchmark.mines / name, benchmark.root / name):
        if os.path.isfile(path):  # noqa: PTH113  Path.is_file fails on a name too long for a file
            return path
    names = ", ".join(published.LISTS)
    raise InputError(
        f"{benchmark.recipe}: there is no mine list {benchmark.mines / name} or {name}; lists known by "
        f"name are {names}."
    )


def _open(path: Path, layer: str | None, columns: dict[str, str]) -> gpd.GeoDataFrame:
    layer = choose_layer(path, layer)
    try:
        if path.suffix.lower() == ".csv":
            return csv_list.read(path, columns)
        return vector.read(path, layer)
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a mine list: {reason.rstrip('.')}.") from None


def _column(
    table: pd.DataFrame, ours: str, known: tuple[str, ...], columns: dict[str, str], path: Path
) -> str | None:
    """The list's own name of our column: by the recipe's mapping, else by the names we know."""
    if ours in columns:
        if columns[ours] not in table.columns:
            raise InputError(f"{path} has no column '{columns[ours]}' (sites.columns.{ours}).")
        return columns[ours]
    by_lower = {str(column).lower(): str(column) for column in table.columns}
    return next((by_lower[name.lower()] for name in known if name.lower() in by_lower), None)


def _rename(table: gpd.GeoDataFrame, columns: dict[str, str], path: Path) -> gpd.GeoDataFrame:
    mines = gpd.GeoDataFrame(geometry=table.geometry.to_numpy(), crs=table.crs)
    for ours in COLUMNS:
        theirs = _column(table, ours, KNOWN_COLUMNS[ours], columns, path)
        values = table[theirs] if theirs else pd.Series([None] * len(table))
        if ours == "production_start":
            mines[ours] = pd.to_numeric(values.map(_year), errors="coerce").astype("Float64").to_numpy()
        else:
            mines[ours] = pd.Series([_text(value) for value in values], dtype=object)
    return mines


def _year(value: Any) -> str | None:
    """A cell as text; of a date (2019-06, 2019-06-30) its year."""
    text = _text(value)
    return text[:4] if text and DATED.match(text) else text


DATED = re.compile(r"\d{4}[-/]\d")


def _text(value: Any) -> str | None:
    """A cell as text; None for an empty one. Lists, which GeoJSON and Parquet know, are joined."""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(text for item in value if (text := _text(item))) or None
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return NO_TEXT.sub(" ", str(value)).strip() or None


def _repaired(table: gpd.GeoDataFrame, path: Path) -> NDArray[Any]:
    """The shapes, sound ones as they are; of one that has polygons only the polygons. InputError names the
    row of a line, of a polygon without area, and of what is beyond repair."""
    sound = [_sound(shape, f"{path} row {row}") for row, shape in enumerate(table.geometry, 1)]
    return np.array(sound, dtype=object)


def _sound(shape: BaseGeometry, where: str) -> BaseGeometry:
    """A valid shape of polygons, or of points."""
    try:
        valid = shapely.make_valid(shape) if not shape.is_valid else shape
    except shapely.errors.GEOSException:
        raise InputError(
            f"{where} has a geometry that cannot be repaired: draw it again or remove the row."
        ) from None
    kinds, valid_kinds = _kinds(shape), _kinds(valid)
    if kinds & {*POLYGONS} and not valid.area > 0:
        raise InputError(f"{where} is a polygon without area: give it a shape or remove the row.")
    if not valid_kinds & {*POLYGONS}:
        if valid_kinds <= {"Point", "MultiPoint"}:
            return valid if valid.geom_type != "GeometryCollection" else shapely.union_all([*_parts(valid)])
        raise InputError(
            f"{where} is a line, which outlines no mine: draw a polygon or a point, or remove the row."
        )
    return valid if valid_kinds <= {*POLYGONS} else polygons_of(valid)


def _kinds(shape: BaseGeometry) -> set[str]:
    """The types of a shape's parts, of collections within it too."""
    if shape.geom_type != "GeometryCollection":
        return {shape.geom_type}
    return {kind for part in shapely.get_parts(shape) for kind in _kinds(part)}


def polygons_of(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a shape alone: collections also hold lines and points."""
    polygons = [part for part in _parts(shapely.force_2d(shape)) if part.geom_type == "Polygon"]
    return polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)


def _parts(shape: BaseGeometry) -> Iterator[BaseGeometry]:
    """The simple shapes of a shape, of collections within it too."""
    for part in shapely.get_parts(shape):
        yield from _parts(part) if hasattr(part, "geoms") else [part]


def _check_geometry(table: gpd.GeoDataFrame, path: Path) -> None:
    empty = np.flatnonzero((table.geometry.isna() | table.geometry.is_empty).to_numpy())
    if len(empty):
        more = f" (and {len(empty) - 1} more rows)" if len(empty) > 1 else ""
        units = " or, where it has GADM ids, set sites.gadm to true" if _has_units(table) else ""
        raise InputError(
            f"{path} row {empty[0] + 1}{more} has no geometry: give it one, remove the row{units}."
        )


def _has_units(table: gpd.GeoDataFrame) -> bool:
    """Whether a list names GADM units, from which places can be had."""
    return any(str(column).startswith("GID_") for column in table.columns)


def _check_range(table: gpd.GeoDataFrame, path: Path) -> None:
    """Refuse coordinates off the globe. Longitudes to 360 pass: lists may count on past 180."""
    bounds = table.geometry.bounds
    swapped = bounds["maxy"].gt(90) | bounds["miny"].lt(-90)
    if (bad := np.flatnonzero((swapped & bounds["maxx"].le(90) & bounds["minx"].ge(-90)).to_numpy())).size:
        raise InputError(
            f"{path} row {bad[0] + 1}: latitude {bounds['maxy'].iloc[bad[0]]:g} is out of range; "
            "longitude and latitude look swapped."
        )
    outside = swapped | bounds["maxx"].gt(360) | bounds["minx"].lt(-180) | ~np.isfinite(bounds).all(axis=1)
    if (bad := np.flatnonzero(outside.to_numpy())).size:
        raise InputError(
            f"{path} row {bad[0] + 1}: coordinates are out of range; they must be degrees of "
            "longitude and latitude once in EPSG:4326."
        )
    nowhere = bounds[["minx", "miny"]].abs().lt(NULL_ISLAND).all(axis=1) & bounds[["maxx", "maxy"]].abs().lt(
        NULL_ISLAND
    ).all(axis=1)
    if (bad := np.flatnonzero(nowhere.to_numpy())).size:
        raise InputError(
            f"{path} row {bad[0] + 1} lies at 0° N, 0° E, in the Atlantic, where missing coordinates end up: "
            "give it its own or remove the row."
        )
    beyond = bounds["maxy"].gt(84) | bounds["miny"].lt(-80)
    if (bad := np.flatnonzero(beyond.to_numpy())).size:
        raise InputError(f"{path} row {bad[0] + 1}: UTM ends at 84°N and 80°S; remove the row.")
