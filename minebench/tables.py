"""Index tables: Parquet, written whole, the same bytes for the same content."""

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
    """Write a table (GeoParquet where it has geometry), zstd, without the index. The software's
    version goes into the file's metadata."""
    table.attrs = {**table.attrs, "minebench": __version__}
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


ROW_GROUP = 2**20
"""Rows of a row group, which is what pandas writes: so a table has the same bytes whole or row by row."""
BATCH = 2**16
"""Rows that are held as Python's own before they become columns of Arrow."""


@contextmanager
def writing(path: Path, columns: Mapping[str, str], attrs: Mapping[str, Any]) -> Iterator[Rows]:
    """Write a table row by row, with what `write` would make of the whole; `columns` are name and type.
    Memory holds one row group. Nothing is written where the work inside fails."""
    told = {**attrs, "minebench": __version__}
    with replacing(path) as temporary:
        rows = Rows(temporary, dict(columns), told)
        try:
            yield rows
            rows.close()
        finally:
            rows.file.close()


class Rows:
    """A table that is being written."""

    def __init__(self, path: Path, columns: dict[str, str], attrs: dict[str, Any]) -> None:
        self.columns, self.count = columns, 0
        self.waiting: dict[str, list[Any]] = {name: [] for name in columns}
        empty = self._frame()
        # A dict of text does not pass where pandas takes keys of any type; its items do.
        empty.attrs = dict(attrs.items())
        schema = pa.Schema.from_pandas(empty, preserve_index=False)
        told = {**(schema.metadata or {}), b"PANDAS_ATTRS": json.dumps(attrs).encode()}
        self.schema = schema.with_metadata(told)
        self.group: list[pa.Table] = []
        self.file = pq.ParquetWriter(path, self.schema, compression="zstd")

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Rows as tuples in the columns' order."""
        values = list(zip(*rows, strict=True))
        for waiting, column in zip(self.waiting.values(), values, strict=False):
            waiting.extend(column)
        self.count += len(values[0]) if values else 0
        if len(self._first) >= BATCH:
            self._to_arrow()

    def add_frame(self, frame: pd.DataFrame) -> None:
        """The rows of a frame with the same columns."""
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
        held = sum(map(len, self.group))
        while held >= ROW_GROUP:
            whole = pa.concat_tables(self.group).combine_chunks()
            self.file.write_table(whole[:ROW_GROUP], row_group_size=ROW_GROUP)
            self.group, held = [whole[ROW_GROUP:]], held - ROW_GROUP

    def close(self) -> None:
        self._to_arrow()
        left = pa.concat_tables([self.schema.empty_table(), *self.group]).combine_chunks()
        if len(left) or not self.count:
            self.file.write_table(left, row_group_size=ROW_GROUP)


def batches(
    path: Path, made_by: str, columns: Sequence[str] | None = None, where: Any = None
) -> Iterator[pd.DataFrame]:
    """A table in parts, in its order: of a row group's size at most, with the rows that fit `where`
    (pyarrow's filter expression)."""
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: run `minebench {made_by}` first.")
    scanner = dataset(path).scanner(columns=columns, filter=where, batch_size=2**18)
    for batch in scanner.to_batches():
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).to_pandas()


def read_csv(path: Path, field: str) -> pd.DataFrame:
    """A CSV that the recipe names in `field`, all as text. InputError where it cannot be read."""
    try:
        return pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise InputError(f"{field}: there is no file {path}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).rstrip('.')}.") from None


def read(path: Path, made_by: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table; WorkError says which stage makes it where it is missing or broken."""
    return pd.DataFrame(_read(partial(pd.read_parquet, columns=columns), path, made_by))


def first(path: Path, made_by: str) -> pd.DataFrame:
    """The first row of a table, none of an empty one."""
    for part in batches(path, made_by):
        return part[:1]
    return read(path, made_by)


def rows(path: Path) -> int:
    """How many rows a table has, without reading it."""
    return int(pq.read_metadata(path).num_rows)


def each(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table as named tuples. What a column holds is known from its table's definition and not
    from pandas, for which a cell may be of any type."""
    return iter(table.itertuples())


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries by column. For pandas a column's name may be anything; ours are
    text."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def by_text(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """The rows of a table by what a column of text says."""
    return {str(value): own for value, own in table.groupby(column)}


def read_geo(path: Path, made_by: str) -> gpd.GeoDataFrame:
    """Read a GeoParquet table, like `read`."""
    # Here and not above, so that a machine that only trains needs no geospatial library.
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
