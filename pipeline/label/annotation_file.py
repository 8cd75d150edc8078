"""A site's labels as annotations/<site_id>.gpkg, which `annotate` reads as it is.

A row is what was made in one way for one period or pair: `site_id`, the period in the recipe's column (or
`t1` and `t2`), `how`, `by` whom, `at` (the last step), `seconds` spent, `software`. A period with nothing to
outline is a row without geometry; one that cannot be seen, or was not labelled, has no row.
"""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minebench import __version__
from minebench.files import replacing
from pipeline.geo import raster
from pipeline.label import edits
from pipeline.label.edits import Labels
from pipeline.sites.site import Site

LAYER = "labels"


def write(path: Path, site: Site, rows: list[dict[str, Any]]) -> None:
    """Write a site's rows, in its own projection, whole or not at all; no rows are no file."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    table = gpd.GeoDataFrame(rows, geometry="geometry", crs=site.epsg)
    with replacing(path) as temporary:
        table.to_file(temporary, layer=LAYER, driver="GPKG")


def rows_of(site: Site, labels: Labels, subject: str, column: str) -> list[dict[str, Any]]:
    """The rows of a period or pair, none where there is nothing to say."""
    mark = labels.mark(subject)
    if mark not in {edits.DRAWN, edits.NOTHING}:
        return []
    codes = labels.of(subject)
    found = [labels.made[code - 1] for code in np.unique(codes[codes > 0])] if mark == edits.DRAWN else []
    if not found:
        return [_row(site, labels, subject, column, None, None)]
    return [
        _row(site, labels, subject, column, how, outline(site, codes == labels.code(how))) for how in found
    ]


def _row(
    site: Site, labels: Labels, subject: str, column: str, how: str | None, shape: BaseGeometry | None
) -> dict[str, Any]:
    stands = [
        edit for n, edit in enumerate(labels.steps) if n not in labels.undone and edit.subject == subject
    ]
    own = [edit for edit in stands if how in (None, edit.how)] or stands
    return {
        "site_id": site.site_id,
        **when(subject, column),
        "how": how or own[-1].how,
        "by": ", ".join(dict.fromkeys(edit.by for edit in own)),
        "at": max(edit.at for edit in own),
        "seconds": round(sum(edit.seconds for edit in own), 1),
        "software": f"minebench {__version__}",
        "geometry": shape,
    }


def when(subject: str, column: str) -> dict[str, Any]:
    """The columns that say which period, or pair of them, a row is of."""
    t1, _, t2 = subject.partition("|")
    return {"t1": t1, "t2": t2} if t2 else {column: int(t1) if t1.isdigit() else t1}


def outline(site: Site, mask: NDArray[np.bool_]) -> BaseGeometry:
    """The edges of a mask's pixels, in metres."""
    return raster.outline(mask, site.grid.transform)
