"""Index tables: Parquet, written whole, the same bytes for the same content."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import pandas as pd

from pipeline import __version__
from pipeline.core.errors import WorkError
from pipeline.core.files import replacing


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table (GeoParquet where it has geometry), zstd, without the index. The software's
    version goes into the file's metadata."""
    table.attrs = {**table.attrs, "minebench": __version__}
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read(path: Path, made_by: str) -> pd.DataFrame:
    """Read a table; WorkError says which stage makes it where it is missing or broken."""
    return pd.DataFrame(_read(pd.read_parquet, path, made_by))


def read_geo(path: Path, made_by: str) -> gpd.GeoDataFrame:
    """Read a GeoParquet table, like `read`."""
    return _read(gpd.read_parquet, path, made_by)


def _read(reader: Any, path: Path, made_by: str) -> Any:
    if not path.is_file():
        raise WorkError(f"{path} is missing: run `minebench {made_by}` first.")
    try:
        return reader(path)
    except Exception as error:
        raise WorkError(
            f"{path} cannot be read ({type(error).__name__}): delete it and run `minebench {made_by}`."
        ) from None


def fingerprint(parts: Iterable[Any], code: Iterable[ModuleType] = ()) -> str:
    """Sixteen hex digits that change when an input or the code that uses it changes.

    Stages keep it with each site's output, and redo a site only when it differs.
    """
    digest = hashlib.sha256(json.dumps(list(parts), sort_keys=True, default=str).encode())
    for module in code:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def fingerprint_of(collection: Path) -> str | None:
    """The fingerprint kept in a collection.json; None where there is no sound one."""
    try:
        return str(json.loads(collection.read_text())["minebench:fingerprint"])
    except (OSError, ValueError, KeyError):
        return None
