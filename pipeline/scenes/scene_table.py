"""The table `scenes`: every candidate with its fate. It is also the frozen choice."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import tables
from minebench.layout import BenchmarkPaths
from pipeline.scenes.status import Status, fate

ROW = {
    "site_id": "str", "period": "str", "scene_id": "str", "datetime": "datetime64[ms, UTC]",
    "source": "str", "level": "str", "cloud": "float64", "clear": "float64", "selected": "bool",
    "status": "str", "reason": "str", "day": "str", "day_clear": "float64", "cloud_cover": "float64",
    "baseline": "str", "offset": "int64", "offset_from": "str", "dated_by": "str", "on_grid": "bool",
    "dx": "float64", "dy": "float64", "confidence": "float64",
    "dx_left": "float64", "dy_left": "float64", "corrected": "bool",
    "href": "str", "request": "str", "choice": "str", "checksum": "str",
}  # fmt: skip
"""Columns of `scenes`. `cloud`, `clear` and `day_clear` are fractions of the AOI, NaN where the
scene was ruled out unread; `status` is one of `Status`, and `reason` the same in words; `day` is the
solar day; `cloud_cover` is the provider's, per cent; `offset` was taken from the digital numbers,
because of `offset_from`; `on_grid` is false for one of several granules of a day that was resampled from
another grid than the site's. `dx`, `dy` are metres east and north of the site's reference, `confidence`
from 0 to 1, all three NaN where no shift was measured; `corrected` says that the scene was read again
on a grid so shifted, `dx_left`, `dy_left` what was then left. `href` finds the scene again;
`checksum` (SHA-256) is of its pixels for the bands and grid of `request`, chosen for its period by the
rules of `choice`. A period without any scene has a row with an empty scene_id."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Keys:
    """Fingerprints of what is read of a site's scenes (source, bands, grid), by the source's label, and for
    each period of what decides which of them are chosen."""

    requests: dict[str, str]
    choices: dict[str, str]

    @property
    def request(self) -> str:
        """What is read of all sources, in the order in which they are asked."""
        return " ".join(self.requests.values())

    def request_of(self, label: str) -> str:
        """What is read of one source; of one that has no such label, of the first."""
        return self.requests.get(label) or next(iter(self.requests.values()))


def empty_row(site_id: str, period: str, request: str, choice: str) -> Row:
    """The row of a period for which the source has nothing."""
    none = fate(Status.NONE_FOUND)
    empty: Row = dict.fromkeys(ROW, "")
    empty |= {name: np.nan for name, kind in ROW.items() if kind == "float64"}
    return empty | {
        "site_id": site_id, "period": period, "datetime": pd.NaT, "selected": False, "corrected": False,
        "offset": 0, "on_grid": True, "status": none.status.value, "reason": none.reason,
        "request": request, "choice": choice,
    }  # fmt: skip


def of_rows(rows: list[Row]) -> pd.DataFrame:
    """Rows as a table, with the columns' types."""
    table = pd.DataFrame(rows, columns=list(ROW))
    # Of a site without any scene pandas takes the column for one without a time zone.
    return table.assign(datetime=pd.to_datetime(table.datetime, utc=True)).astype(ROW)


def rows_of(table: pd.DataFrame) -> list[Row]:
    """A table's rows as dictionaries of its known columns."""
    return tables.records(table[list(ROW)])


def read_listed(benchmark: BenchmarkPaths) -> pd.DataFrame | None:
    """The table of scenes of the run before, where it has what it takes to use it again."""
    path = benchmark.table("scenes")
    return with_status(tables.read(path, "fetch --refresh")) if path.is_file() else None


BEFORE_STATUS = (
    ("not read: ", Status.NOT_READ), ("not used: ", Status.FLAWED), ("left out by", Status.EXCLUDED),
    ("scene's cloud cover", Status.CLOUDY), ("no data", Status.NO_DATA), ("AOI only", Status.NOT_CLEAR),
    ("no scene", Status.NONE_FOUND),
)  # fmt: skip
"""How reasons began in tables of version 0.1.0, which had no column `status`."""


def with_status(table: pd.DataFrame) -> pd.DataFrame | None:
    """A table with the columns `status` and `on_grid`, also where it was written before there were any. None
    where other columns are missing."""
    if "status" not in table and "reason" in table:
        found = [_status(reason) for reason in table.reason]
        table = table.assign(status=[status.value for status in found])
    if "on_grid" not in table:
        table = table.assign(on_grid=True)
    return table[list(ROW)] if set(ROW) <= set(table.columns) else None


def _status(reason: str) -> Status:
    if not reason:
        return Status.CHOSEN
    starts = (status for start, status in BEFORE_STATUS if reason.startswith(start))
    return next(starts, Status.COMPOSITE_FULL if "fill the composite" in reason else Status.OTHER_CLEARER)


class Listed:
    """The table of scenes by site. A site's rows are found through an index made once, and columns are
    turned into Python's own values once: a table of thousands of sites is not searched for each."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self.table = of_rows([]) if table is None else table.reset_index(drop=True)
        self._columns: dict[str, list[Any]] = {}

    @cached_property
    def places(self) -> dict[str, NDArray[np.int64]]:
        found = self.table.groupby("site_id").indices
        return {str(site_id): np.asarray(places, np.int64) for site_id, places in found.items()}

    def column(self, name: str) -> list[Any]:
        """A column as Python's own values, made at the first question."""
        if name not in self._columns:
            self._columns[name] = self.table[name].tolist()
        return self._columns[name]

    @cached_property
    def digests(self) -> dict[str, str]:
        """A digest of each site's rows, all columns of them; few rows at a time."""
        found = {site_id: hashlib.sha256() for site_id in self.places}
        for start in range(0, len(self.table), ROWS_AT_ONCE):
            for row in _rows(self.table[start : start + ROWS_AT_ONCE]):
                found[row[0]].update(repr(row).encode())
        return {site_id: own.hexdigest()[:16] for site_id, own in found.items()}

    def of(self, site_id: str) -> pd.DataFrame | None:
        """A site's rows; None where there are none."""
        own = self.places.get(site_id)
        return None if own is None else self.table.iloc[own].reset_index(drop=True)

    def values(self, site_id: str, names: Sequence[str]) -> list[list[Any]]:
        """A site's values in some columns, a list each."""
        own = self.places.get(site_id, ())
        return [[self.column(name)[i] for i in own] for name in names]

    def only(self, site_id: str) -> "Listed":
        """The table of one site alone, such as a worker elsewhere needs."""
        return Listed(self.of(site_id))


ROWS_AT_ONCE = 20_000
"""Rows that are Python's own values at a time."""


def _rows(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows' values in the order of `ROW`, the site's id first."""
    return zip(*(table[name].tolist() for name in ROW), strict=True)


def digest(table: pd.DataFrame) -> str:
    """The digest of one site's table, as `Listed` has it."""
    return hashlib.sha256("".join(map(repr, _rows(table))).encode()).hexdigest()[:16]
