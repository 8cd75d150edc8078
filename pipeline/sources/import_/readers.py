"""The reader of each layout, by name."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.core.errors import InputError
from pipeline.core.files import check_links
from pipeline.sources.import_.from_euromine import EuroMine
from pipeline.sources.import_.from_folders import Folders
from pipeline.sources.import_.from_minenetcd256 import MineNetCD256
from pipeline.sources.import_.from_oms2cd import OMS2CD
from pipeline.sources.import_.layouts import Layout

READERS: dict[str, type[Layout]] = {
    "minenetcd256": MineNetCD256, "oms2cd": OMS2CD, "euromine": EuroMine, "folders": Folders,
}  # fmt: skip


@lru_cache(maxsize=4)
def opened(layout: str, path: Path, **told: Any) -> Layout:
    """A folder in a named layout; `told` is what its reader takes beside it. InputError where it is not
    there."""
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.")
    check_links(path)
    return READERS[layout](path, **told)  # type: ignore[call-arg]
