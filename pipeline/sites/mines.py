"""Mine lists as users bring them: any vector format or CSV, read into one set of columns."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from pipeline.core.errors import InputError
from pipeline.core.layout import Benchmark
from pipeline.geo import vector
from pipeline.recipe import Join, Sites
from pipeline.sites import countries, csv_list, gadm, published

COLUMNS = ("name", "country", "commodity", "production", "status", "equipment", "production_start")
"""What a mine list may say of a mine; every list ends up with all of these, empty where silent."""

KNOWN_COLUMNS: dict[str, tuple[str, ...]] = {
    # In order of preference: Maus et al. v1/v2, Jasansky et al., then common names.
    "name": ("facility_name", "name", "mine_name", "site_name", "tile_id"),
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
    """Mines in EPSG:4326 with `COLUMNS`, and the rows (1-based) whose geometry was repaired."""

    mines: gpd.GeoDataFrame
    repaired: tuple[int, ...]


def read(benchmark: Benchmark, sites: Sites) -> MineList:
    """The recipe's mine list, joined with its second list where it names one."""
    found = _read_named(benchmark, sites.mines, sites.layer, sites.columns, sites.gadm)
    if sites.join is None:
        return found
    second = sites.join
    facilities = _read_named(benchmark, second.file, second.layer, second.columns, sites.gadm)
    return MineList(join_nearest(found.mines, facilities.mines, sites.join), found.repaired)


def _read_named(
    benchmark: Benchmark, name: str, layer: str | None, columns: dict[str, str], with_gadm: bool
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
    if unknown := set(columns) - {*COLUMNS, "lon", "lat"}:
        raise InputError(
            f"sites.columns: '{sorted(unknown)[0]}' is not one of {', '.join(COLUMNS)}, lon, lat."
        )
    table = _open(path, layer, columns)
    if table.empty:
        raise InputError(f"{path} lists no mines: it has columns but no rows.")
    if table.crs is None:
        raise InputError(f"{path} does not say its CRS: save it again with one, such as EPSG:4326.")
    if areas is not None:
        table = gadm.fill(table, areas, path)
    _check_geometry(table, path)
    repaired = tuple(int(row) + 1 for row in np.flatnonzero(~table.geometry.is_valid.to_numpy()))
    whole = table.set_geometry(_repaired(table, path), inplace=False)
    table = whole.set_crs(table.crs, inplace=False, allow_override=True)
    table = table.to_crs(4326)
    _check_range(table, path)
    mines = _rename(table, columns, path)
    mines["country"] = countries.complete(mines["country"], mines.geometry)
    return MineList(mines, repaired)


def join_nearest(mines: gpd.GeoDataFrame, facilities: gpd.GeoDataFrame, join: Join) -> gpd.GeoDataFrame:
    """Fill a mine's empty attributes from the nearest facility within the join's distance."""
    from pipeline.geo.geodesy import distance_m, near_pairs

    everything = [*mines.geometry, *facilities.geometry]
    nearest: dict[int, tuple[float, int]] = {}
    for i, j in near_pairs(everything, join.max_distance_m):
        if i < len(mines) <= j:
            candidate = (distance_m(everything[i], everything[j]), j - len(mines))
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
    if path.suffix.lower() in {".csv", ".parquet", ".geoparquet"}:
        return None
    try:
        layers = vector.layers(path)
    except Exception:
        raise InputError(f"{path} cannot be read as a mine list: its content is not {path.suffix}.") from None
    if layer is None and len(layers) > 1:
        raise InputError(f"{path} has several layers; name one with layer: {', '.join(layers)}.")
    if layer is not None and layer not in layers:
        raise InputError(f"{path} has no layer '{layer}'; it has {', '.join(layers)}.")
    return layer or layers[0]


def is_of_points(path: Path, layer: str | None) -> bool:
    """Whether a list outlines no mine; False for one that cannot be read, which is told where it is used."""
    if path.suffix.lower() == ".csv":
        return True
    try:
        kinds = set(vector.read(path, layer).geometry.dropna().geom_type)
    except Exception:
        return False
    return bool(kinds) and kinds <= {"Point", "MultiPoint"}


def _find(benchmark: Benchmark, name: str) -> Path:
    for path in (benchmark.mines / name, benchmark.root / name):
        if os.path.isfile(path):  # noqa: PTH113  Path.is_file fails on a name too long for a file
            return path
    names = ", ".join(published.LISTS)
    raise InputError(
        f"{benchmark.recipe}: there is no mine list {benchmark.mines / name} or {name}; lists known by "
        f"name are {names}."
    )


def _open(path: Path, layer: str | None, columns: dict[str, str]) -> gpd.GeoDataFrame:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: mine lists may be {', '.join(SUFFIXES)}, not '{suffix}'.")
    layer = choose_layer(path, layer)
    try:
        if suffix == ".csv":
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
            mines[ours] = pd.to_numeric(values.map(_text), errors="coerce").astype("Float64").to_numpy()
        else:
            mines[ours] = pd.Series([_text(value) for value in values], dtype=object)
    return mines


def _text(value: Any) -> str | None:
    """A cell as text; None for an empty one. Lists, which GeoJSON and Parquet know, are joined."""
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(text for item in value if (text := _text(item))) or None
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return str(value).strip() or None


def _repaired(table: gpd.GeoDataFrame, path: Path) -> NDArray[Any]:
    """The shapes, valid ones as they are. InputError names the row of one that is beyond repair, or is a
    polygon without any area."""
    shapes = []
    for row, shape in enumerate(table.geometry, 1):
        try:
            shapes.append(shapely.make_valid(shape))
        except shapely.errors.GEOSException:
            raise InputError(
                f"{path} row {row} has a geometry that cannot be repaired: draw it again or remove the row."
            ) from None
        if shape.geom_type in ("Polygon", "MultiPolygon") and not shapes[-1].area > 0:
            raise InputError(
                f"{path} row {row} is a polygon without area: give it a shape or remove the row."
            )
    return np.array(shapes, dtype=object)


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
