"""The table of scenes of published files: one row an image, all of them chosen by whoever published them."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from pipeline.published.formats.layout import Layout
from pipeline.recipe import Recipe
from pipeline.scenes.scene_table import ROW
from pipeline.scenes.status import Status


def table(layout: Layout, recipe: Recipe, sites: gpd.GeoDataFrame) -> pd.DataFrame:
    """Rows of `scenes`."""
    known = {site.name: site for site in layout.sites()}
    empty: dict[str, Any] = {
        "source": recipe.source.name, "level": "", "cloud": np.nan, "clear": np.nan, "selected": True,
        "status": Status.CHOSEN.value, "reason": "", "day_clear": np.nan, "cloud_cover": np.nan,
        "baseline": "", "offset": 0,
        "offset_from": "", "on_grid": True,
        "dx": np.nan, "dy": np.nan, "confidence": np.nan, "dx_left": np.nan, "dy_left": np.nan,
        "corrected": False, "request": "", "choice": "", "checksum": "",
    }  # fmt: skip
    rows = []
    for site_id in sites.site_id:
        for label, image in known[site_id].images.items():
            rows.append({
                **empty, "site_id": site_id, "period": label, "scene_id": Path(image.file).stem,
                "href": image.file, "datetime": image.day,
                "day": str(image.day or ""), "dated_by": image.dated_by,
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=list(ROW))
    return table.assign(datetime=pd.to_datetime(table.datetime, utc=True)).astype(ROW)
