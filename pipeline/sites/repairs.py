"""What repairing a mine list changes: said with areas, and refused where it is much and nobody agreed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from minebench.errors import InputError
from minebench.text import counted

MUCH = 0.1
"""Share of its area by which a mine, or all of a list, may change unasked."""
LEAST_KM2 = 1e-4
"""A change smaller than a pixel of Sentinel-2 is none."""


class MuchRepaired(InputError):
    """Repairing the list changes an area by more than a tenth."""


@dataclass(frozen=True)
class Repairs:
    """How many mines were repaired, of how many spikes were cut, and their area as drawn and now (km²)."""

    mines: int
    spiky: int
    before_km2: float
    after_km2: float

    def told(self) -> dict[str, Any]:
        """As the attributes of a table have it."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def areas(told: Mapping[str, Any] | None) -> str:
    """What became of the areas, of the attributes that `Repairs.told` made; empty for none, as in older
    tables."""
    if not told:
        return ""
    own = Repairs(**told)
    cut = f"; spikes thinner than a pixel were cut from {counted(own.spiky, 'mine')}" if own.spiky else ""
    return f": {own.before_km2:,.2f} km² as drawn, {own.after_km2:,.2f} km² now{cut}"


def check(
    listed: gpd.GeoDataFrame, kept: gpd.GeoDataFrame, before: Mapping[int, float], accepted: bool
) -> Repairs | None:
    """Return what was repaired of the mines kept; None where nothing was. MuchRepaired names the mine that
    changed most, where `accepted` is False.

    `listed` has every part of every mine, with its `row`, its area now (`area_km2`) and as drawn
    (`drawn_km2`, which `before` replaces by row where the drawing was invalid), and whether it is `spiky`.
    """
    mines = listed[listed.row.isin(kept.row)].groupby("row").agg(
        before=("drawn_km2", "sum"), after=("area_km2", "sum"), spiky=("spiky", "any"), name=("name", "first")
    )  # fmt: skip
    invalid = mines.index.isin(list(before))
    mines.loc[invalid, "before"] = [before[row] for row in mines.index[invalid]]
    touched = mines[invalid | mines.spiky]
    if touched.empty:
        return None
    if not accepted:
        _check_each(touched)
        _check_total(mines)
    return Repairs(
        len(touched), int(touched.spiky.sum()), float(touched.before.sum()), float(touched.after.sum())
    )


def _check_each(touched: pd.DataFrame) -> None:
    changed = (touched.after - touched.before).abs()
    much = touched[(changed > MUCH * touched.before) & (changed > LEAST_KM2)]
    if much.empty:
        return
    place = int((much.after - much.before).abs().to_numpy().argmax())
    row, mine = much.index[place], much.iloc[place]
    called = f"row {row} ({mine['name']})" if isinstance(mine["name"], str) else f"row {row}"
    more = f" (and {counted(len(much) - 1, 'more row')})" if len(much) > 1 else ""
    raise MuchRepaired(f"The mine list's {called}{more} {_changes(mine.before, mine.after)}")


def _check_total(mines: pd.DataFrame) -> None:
    before, after = mines.before.sum(), mines.after.sum()
    if abs(after - before) > max(MUCH * before, LEAST_KM2):
        raise MuchRepaired(f"The mine list as a whole {_changes(before, after)}")


def _changes(before: float, after: float) -> str:
    return (
        f"changes from {before:,.2f} to {after:,.2f} km² by being repaired: draw it again, or accept that "
        "with sites.accept_repairs: true."
    )
