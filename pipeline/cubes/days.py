"""A period's chosen scenes by day, and which of a day's granules goes first."""

import re
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Day:
    """One solar day's granules by scene id; the first that is clear at a pixel gives it."""

    day: str
    scenes: tuple[str, ...]


def days_of(rows: pd.DataFrame) -> list[Day]:
    """Return a period's chosen scenes by solar day. Of a day's granules those on the site's own grid come
    first, which need no resampling, then those of the newest processing, then the earliest."""
    # Tables of earlier versions do not say.
    resampled = ~rows.on_grid if "on_grid" in rows else False
    processing = [processed(*names) for names in zip(rows.baseline, rows.scene_id, strict=True)]
    ordered = rows.assign(resampled=resampled, processing=processing).sort_values(
        ["day", "resampled", "processing", "datetime", "scene_id"],
        ascending=[True, True, False, True, True],
    )
    return [Day(str(day), tuple(group.scene_id)) for day, group in ordered.groupby("day", sort=True)]


def processed(baseline: str, scene_id: str) -> str:
    """Return what orders the products of one acquisition by their processing: the baseline, then what the
    provider put at the end of the id: a time (S2B_MSIL2A_..._20230401T000000) or a number (S2B_..._1_L2A)."""
    match = re.search(r"_(\d{8}T\d{6})(?:\.SAFE)?$|_(\d)_L\w+$", scene_id)
    return f"{baseline:>5} {match[1] or match[2] if match else ''}"
