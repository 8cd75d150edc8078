"""The reader of each layout, by name."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from minebench.errors import InputError
from minebench.files import check_links
from pipeline.published.formats import scene_pairs, small_mines
from pipeline.published.formats.euromine import EuroMine
from pipeline.published.formats.folders import UNKNOWN_DATE, Folders
from pipeline.published.formats.layout import Layout
from pipeline.published.formats.minenetcd256 import MineNetCD256
from pipeline.published.formats.oms2cd import OMS2CD
from pipeline.published.formats.pairs_layout import PairsLayout


def folders(folder: Path, dates: str = UNKNOWN_DATE, threshold: int = 0) -> PairsLayout:
    """Pairs in folders, or a set whose authors publish it in folders of another kind."""
    if small_mines.is_here(folder):
        return small_mines.SmallMines(folder, dates, threshold)
    for find, tile in ((scene_pairs.oscd, scene_pairs.OSCD_TILE), (scene_pairs.gvlm, scene_pairs.GVLM_TILE)):
        if (found := find(folder)) is not None:
            return scene_pairs.ScenePairs(folder, *found, tile=tile, dates=dates, threshold=threshold)
    return Folders(folder, dates, threshold)


READERS: dict[str, Callable[..., Layout]] = {
    "minenetcd256": MineNetCD256, "oms2cd": OMS2CD, "euromine": EuroMine, "folders": folders,
}  # fmt: skip


@lru_cache(maxsize=4)
def opened(layout: str, path: Path, **told: Any) -> Layout:
    """A folder in a named layout; `told` is what its reader takes beside it. InputError where it is not
    there."""
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.")
    check_links(path)
    return READERS[layout](path, **told)
