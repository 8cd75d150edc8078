"""Mine lists as CSV, as spreadsheets save them. The header line decides, or they are refused."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from minebench.errors import InputError
from minebench.text import few
from pipeline.sites import csv_shapes, degrees

LON = ("lon", "longitude", "x", "lng", "long")
LAT = ("lat", "latitude", "y")
"""Names of the two columns, in order of preference."""
ADDED = re.compile(
    r"(?:[^a-z0-9]*(?:wgs|wgs84|84|epsg|4326|dd|deg|degrees?|decimal|coord|coordinate|°))+[^a-z0-9]*$"
)
"""What a column's name may say behind `lon` or `lat`: lon_wgs84, Longitude (deg)."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+\s*")
SAYS_SEPARATOR = re.compile(r"\A\ufeff?\s*\"?sep=[,;\t|]\"?[ ]*\r?\n", re.IGNORECASE)
"""A first line for Excel."""
LONGEST = 2**31 - 1
"""Characters of a cell."""
BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read(path: Path, columns: dict[str, str]) -> gpd.GeoDataFrame:
    """A CSV as shapes, of its column of WKT or WKB, or as points. `columns` maps wkt, or lon and lat, to the
    list's own names. InputError lists the columns that were found, or names the row."""
    text = SAYS_SEPARATOR.sub("", _text(path))
    if not text.strip():
        raise InputError(f"{path} lists no mines: it is empty.")
    separator = _separator(text, path, columns)
    header = _header(text, separator)
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise InputError(f"{path} has several columns '{twice[0]}': rename or remove all but one.")
    _check_rows(text, separator, header, path)
    # WKB may have no letter but an E, and would be a number.
    kinds = {name: str for name in _wkt_names(header, columns)}
    table = pd.read_csv(io.StringIO(text), sep=separator, index_col=False, skip_blank_lines=True, dtype=kinds)
    table = table.iloc[:, : len(header)].set_axis(header, axis=1)
    # Spreadsheets end with rows of separators. Rows keep the numbers that they have in the file.
    table = table.set_axis(range(1, len(table) + 1)).dropna(how="all")
    if (wkt := _wkt_column(table, columns)) is not None:
        return csv_shapes.read(table, wkt, str(path))
    lon, lat = _columns(list(table.columns), columns)
    if lon is None or lat is None:
        raise InputError(
            f"{path} has no columns lon and lat, and none of WKT or WKB ({few(header, 20)}): name them in "
            "sites.columns (lon, lat, wkt)."
        )
    axes = {lon: "lon", lat: "lat"}
    numbers = pd.DataFrame({name: _numbers(table[name], separator, axis) for name, axis in axes.items()})
    if (bad := numbers.isna().any(axis=1)).any():
        row = bad.index[bad][0]
        cells = [table.loc[row, name] for name in (lon, lat)]
        said = ", ".join("empty" if pd.isna(cell) else f"'{_shown(cell)}'" for cell in cells)
        why = degrees.AMBIGUOUS if any(map(degrees.is_ambiguous, map(str, cells))) else ""
        raise InputError(f"{path} row {row}: {lon} and {lat} must both be numbers, not {said}.{why}")
    points = gpd.points_from_xy(numbers[lon], numbers[lat])
    rest = table.drop(columns=[lon, lat]).reset_index(drop=True)
    return gpd.GeoDataFrame(rest, geometry=points, crs=4326)


def _shown(cell: Any) -> str:
    """A cell as in the file: pandas makes floats of whole numbers beside an empty cell."""
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)


def _text(path: Path) -> str:
    """The file's text: UTF-8, UTF-16 where it begins so, or else Windows' Western European."""
    content = path.read_bytes()
    by_mark = next((encoding for mark, encoding in BOMS.items() if content.startswith(mark)), None)
    if by_mark is None and b"\0" in content[:2]:
        by_mark = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    for encoding in (by_mark or "utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            if by_mark:
                break
    raise InputError(f"{path} is in no encoding that is known: save it as CSV UTF-8.")


def _separator(text: str, path: Path, columns: dict[str, str]) -> str:
    """The separator with which the header has the two columns. InputError where none does, or several do."""
    fitting = [s for s in SEPARATORS if _has_places(_header(text, s), columns)]
    if len({tuple(_header(text, s)) for s in fitting}) == 1:
        return fitting[0]
    if fitting:
        kinds = " or ".join(SEPARATORS[separator] for separator in fitting)
        raise InputError(f"{path}: nothing tells whether {kinds} separate its columns: use one of them only.")
    header = max((_header(text, separator) for separator in SEPARATORS), key=len)
    _check_named(header, path, columns)
    raise InputError(
        f"{path} has no columns lon and lat: name them in sites.columns, or rename two of its columns "
        f"({few(header, 20)})."
    )


def _has_places(header: Sequence[str], columns: dict[str, str]) -> bool:
    """Whether a header has the two columns, or one that may be of WKT or WKB."""
    return None not in _columns(header, columns) or bool(_wkt_names(header, columns))


def _wkt_names(header: Sequence[str], columns: dict[str, str]) -> list[str]:
    if "wkt" in columns:
        return [columns["wkt"]] if columns["wkt"] in header else []
    return [name for name in header if name.lower() in csv_shapes.COLUMNS]


def _wkt_column(table: pd.DataFrame, columns: dict[str, str]) -> str | None:
    """The column of WKT or WKB: the first of its names of which the first cell is some."""
    for name in _wkt_names(list(table.columns), columns):
        cells = table[name].dropna().astype(str)
        if "wkt" in columns or (len(cells) and csv_shapes.is_shape(cells.iloc[0])):
            return name
    return None


def _check_named(header: Sequence[str], path: Path, columns: dict[str, str]) -> None:
    """InputError where a column that the recipe names is not there, or several may be meant."""
    for ours, known in (("lon", LON), ("lat", LAT), ("wkt", csv_shapes.COLUMNS)):
        if ours in columns and columns[ours] not in header:
            raise InputError(
                f"{path} has no column '{columns[ours]}' (sites.columns.{ours}); it has {few(header, 20)}."
            )
        if ours not in columns and len(likely := _likely(header, known)) > 1:
            raise InputError(f"{path}: {', '.join(likely)} may be {ours}: name one in sites.columns.{ours}.")


def _header(text: str, separator: str) -> list[str]:
    """The names in the first line that is not empty."""
    try:
        return next(([name.strip() for name in row] for row in _rows(text, separator)), [])
    except csv.Error:
        return []


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows that are not empty. A cell may hold a polygon of any length."""
    csv.field_size_limit(LONGEST)
    return filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _check_rows(text: str, separator: str, header: Sequence[str], path: Path) -> None:
    """InputError where a row has more cells than there are columns: a comma in a name, without quotes."""
    for number, row in enumerate(_rows(text, separator)):
        if any(map(str.strip, row[len(header) :])):
            raise InputError(
                f"{path} row {number} has {len(row)} cells, and there are {len(header)} columns: put cells "
                f"with {SEPARATORS[separator]} into quotes."
            )


def _columns(header: Sequence[str], columns: dict[str, str]) -> tuple[str | None, str | None]:
    """The list's own names of lon and lat: by the recipe's mapping, else by the names we know."""
    lon, lat = (_column(header, ours, known, columns) for ours, known in (("lon", LON), ("lat", LAT)))
    return lon, lat


def _column(header: Sequence[str], ours: str, known: tuple[str, ...], columns: dict[str, str]) -> str | None:
    if ours in columns:
        return columns[ours] if columns[ours] in header else None
    by_lower = {name.lower(): name for name in header}
    if exact := next((by_lower[name] for name in known if name in by_lower), None):
        return exact
    likely = _likely(header, known)
    return likely[0] if len(likely) == 1 else None


def _likely(header: Sequence[str], known: tuple[str, ...]) -> list[str]:
    """Columns called by a known name and what says which coordinates they are."""
    return [name for name in header if ADDED.sub("", name.lower()).strip(" _-.()") in known]


def _numbers(column: "pd.Series[float]", separator: str, axis: str) -> "pd.Series[float]":
    """Degrees along an axis. Decimal commas are read where commas do not separate columns."""
    if not pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda cell: _degrees(cell, separator, axis))
    return pd.to_numeric(column, errors="coerce")


def _degrees(cell: Any, separator: str, axis: str) -> Any:
    """A cell's degrees; the cell itself where it is a plain number, or none."""
    if not isinstance(cell, str) or (separator == "," and DECIMAL_COMMA.fullmatch(cell)):
        return cell
    found = degrees.parse(cell, axis)
    return cell if found is None else found
