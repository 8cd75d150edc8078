"""Tables written row by row are those that are written whole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from minebench import tables

COLUMNS = {"tile_id": "str", "interval": "int64", "expanded": "Int64", "share": "float64", "kept": "bool"}


def frame(count: int) -> pd.DataFrame:
    number = np.arange(count)
    table = pd.DataFrame({
        "tile_id": [f"mine-{n // 7:06d}" for n in number], "interval": number % 5,
        "expanded": pd.array([None if n % 3 == 0 else n for n in number], dtype="Int64"),
        "share": np.where(number % 4 == 0, np.nan, 0.5), "kept": number % 2 == 0,
    })  # fmt: skip
    return table.astype(COLUMNS)


@pytest.mark.parametrize("count", [0, 5, 2500])
def test_the_same_bytes_whole_and_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(tables, "BATCH", 100)
    table = frame(count)
    table.attrs = {"key": 1}
    tables.write(table.copy(), tmp_path / "whole.parquet")
    rows = list(table.itertuples(index=False, name=None))
    with tables.writing(tmp_path / "parts.parquet", COLUMNS, {"key": 1}) as writing:
        for start in range(0, count, 37):
            writing.add(rows[start : start + 37])
    with tables.writing(tmp_path / "frames.parquet", COLUMNS, {"key": 1}) as writing:
        for start in range(0, count, 37):
            writing.add_frame(table[start : start + 37])
    whole = (tmp_path / "whole.parquet").read_bytes()
    assert whole == (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "frames.parquet").read_bytes()


def test_row_groups_are_of_one_size_whatever_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 1000)
    monkeypatch.setattr(tables, "BATCH", 130)
    rows = list(frame(2500).itertuples(index=False, name=None))
    for name, step in (("a", 7), ("b", 800)):
        with tables.writing(tmp_path / f"{name}.parquet", COLUMNS, {}) as writing:
            for start in range(0, 2500, step):
                writing.add(rows[start : start + step])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = pd.concat(tables.batches(tmp_path / "a.parquet", "tile"), ignore_index=True)
    assert read.tile_id.tolist() == frame(2500).tile_id.tolist()


def test_nothing_is_written_where_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), tables.writing(tmp_path / "x.parquet", COLUMNS, {}) as writing:  # noqa: PT012
        writing.add(frame(5).itertuples(index=False, name=None))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
