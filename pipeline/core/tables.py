"""Index tables: Parquet, written whole, the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline import __version__
from pipeline.core.errors import InputError, NotMadeYet
from pipeline.core.files import replacing

if TYPE_CHECKING:
    import geopandas as gpd


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table (GeoParquet where it has geometry), zstd, without the index. The software's
    version goes into the file's metadata."""
    table.attrs = {**table.attrs, "minebench": __version__}
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_csv(path: Path, field: str) -> pd.DataFrame:
    """A CSV that the recipe names in `field`, all as text. InputError where it cannot be read."""
    try:
        return pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise InputError(f"{field}: there is no file {path}.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).rstrip('.')}.") from None


def read(path: Path, made_by: str) -> pd.DataFrame:
    """Read a table; WorkError says which stage makes it where it is missing or broken."""
    return pd.DataFrame(_read(pd.read_parquet, path, made_by))


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
