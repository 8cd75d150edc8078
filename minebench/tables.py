"""Read and write index tables: Parquet, written atomically, with the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from minebench import __version__
from minebench.errors import InputError, NotMadeYet
from minebench.files import replacing

if TYPE_CHECKING:
    import geopandas as gpd


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet (GeoParquet if it has geometry) with zstd, without the index.

    The file's metadata has `table.attrs` and the software's version.
    """
    table.attrs = {**table.attrs, "minebench": __version__}
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


ROW_GROUP = 2**20
"""Rows per row group, as pandas writes them, so that `write` and `writing` give the same bytes."""
BATCH = 2**16
"""Rows that are collected as Python objects before they are converted to Arrow."""


@contextmanager
def writing(path: Path, columns: Mapping[str, str], attrs: Mapping[str, Any]) -> Iterator[Rows]:
    """Write a table row by row, with the same bytes as `write`, holding one row group in memory.

    Parameters
    ----------
    path
        The file. It stays as it was if the block raises.
    columns
        pandas dtypes by name.
    attrs
        Attributes of the table.

    Yields
    ------
    Rows
        Takes the rows.
    """
    with replacing(path) as temporary:
        rows = Rows(temporary, dict(columns), {**attrs, "minebench": __version__})
        try:
            yield rows
            rows.close()
        finally:
            rows.file.close()


class Rows:
    """A table that is being written, from `writing`."""

    def __init__(self, path: Path, columns: dict[str, str], attrs: dict[str, Any]) -> None:
        self.columns, self.count = columns, 0
        self.waiting: dict[str, list[Any]] = {name: [] for name in columns}
        empty = self._frame()
        # pandas types the keys of attrs as Hashable, for which mypy does not accept a dict with keys of str.
        empty.attrs = dict(attrs.items())
        schema = pa.Schema.from_pandas(empty, preserve_index=False)
        metadata = {**(schema.metadata or {}), b"PANDAS_ATTRS": json.dumps(attrs).encode()}
        self.schema = schema.with_metadata(metadata)
        self.group: list[pa.Table] = []
        self.file = pq.ParquetWriter(path, self.schema, compression="zstd")

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows, tuples in the order of the columns."""
        values = list(zip(*rows, strict=True))
        for waiting, column in zip(self.waiting.values(), values, strict=False):
            waiting.extend(column)
        self.count += len(values[0]) if values else 0
        if len(self._first) >= BATCH:
            self._to_arrow()

    def add_frame(self, frame: pd.DataFrame) -> None:
        """Append the rows of a frame that has the table's columns."""
        self._to_arrow()
        self.count += len(frame)
        self._put(frame[list(self.columns)].astype(self.columns))

    @property
    def _first(self) -> list[Any]:
        return next(iter(self.waiting.values()))

    def _frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.waiting, columns=list(self.columns)).astype(self.columns)

    def _to_arrow(self) -> None:
        if self._first:
            self._put(self._frame())
            self.waiting = {name: [] for name in self.columns}

    def _put(self, frame: pd.DataFrame) -> None:
        self.group.append(pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False))
        count = sum(map(len, self.group))
        while count >= ROW_GROUP:
            table = pa.concat_tables(self.group).combine_chunks()
            self.file.write_table(table[:ROW_GROUP], row_group_size=ROW_GROUP)
            self.group, count = [table[ROW_GROUP:]], count - ROW_GROUP

    def close(self) -> None:
        """Write the remaining rows."""
        self._to_arrow()
        rest = pa.concat_tables([self.schema.empty_table(), *self.group]).combine_chunks()
        if len(rest) or not self.count:
            self.file.write_table(rest, row_group_size=ROW_GROUP)


def batches(
    path: Path, made_by: str, columns: Sequence[str] | None = None, where: Any = None
) -> Iterator[pd.DataFrame]:
    """Yield a table in parts of at most 2**18 rows, in order.

    Parameters
    ----------
    path
        The table.
    made_by
        Stage that writes the table, for the error message.
    columns
        Columns to read; default: all.
    where
        pyarrow filter expression for the rows.

    Raises
    ------
    NotMadeYet
        If there is no such file.
    """
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: run `minebench {made_by}` first.")
    scanner = dataset(path).scanner(columns=columns, filter=where, batch_size=2**18)
    for batch in scanner.to_batches():
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).to_pandas()


def read_csv(path: Path, field: str) -> pd.DataFrame:
    """Return the CSV file that a recipe names in `field`, all as text. InputError if it cannot be read."""
    try:
        return pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise InputError(f"{field}: there is no file {path}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).rstrip('.')}.") from None


def read(path: Path, made_by: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Return a table.

    Parameters
    ----------
    path
        The Parquet file.
    made_by
        Stage that writes the table, for the error message.
    columns
        Columns to read; default: all.

    Returns
    -------
    pandas.DataFrame
        With the table's attributes in `attrs`.

    Raises
    ------
    NotMadeYet
        If the file is missing or damaged.
    """
    return pd.DataFrame(_read(partial(pd.read_parquet, columns=columns), path, made_by))


def first(path: Path, made_by: str) -> pd.DataFrame:
    """Return the first row of a table as a table, without rows if it is empty; otherwise as `read`."""
    for batch in batches(path, made_by):
        return batch[:1]
    return read(path, made_by)


def rows(path: Path) -> int:
    """Return the number of rows of a table, from the file's metadata."""
    return int(pq.read_metadata(path).num_rows)


def each(table: pd.DataFrame) -> Iterator[Any]:
    """Return an iterator over the rows as named tuples.

    They are typed as Any, because pandas types every cell as a union of all scalars.
    """
    return iter(table.itertuples())


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries by column, whose names are text."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def by_text(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """Return the rows of a table by the values of a text column."""
    return {str(value): group for value, group in table.groupby(column)}


def read_geo(path: Path, made_by: str) -> gpd.GeoDataFrame:
    """Return a GeoParquet table; parameters and errors as for `read`."""
    # Imported here, so that a machine that only trains needs no geospatial library.
    import geopandas as gpd

    return _read(gpd.read_parquet, path, made_by)


def _read(reader: Any, path: Path, made_by: str) -> Any:
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: run `minebench {made_by}` first.")
    try:
        return reader(path)
    except Exception as error:
        raise NotMadeYet(
            f"{path} cannot be read ({type(error).__name__}): delete it and run `minebench {made_by}`."
        ) from None
