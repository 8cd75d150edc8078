"""An empty submission: what is expected, as a table, and maps of zeros on the right grids, to be filled."""

from pathlib import Path

import numpy as np
import rasterio

from minebench.errors import InputError
from minebench.files import replacing
from pipeline.scoring import expected, submission
from pipeline.scoring.expected import Expected

TEXT = """\
# Who predicted this, and how. It is shown beside the scores.
who: ""
what: ""
licence: ""
url: ""
"""


def write(wanted: Expected, out: Path) -> int:
    """Write the folder; returns how many maps it has. InputError where something is there already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already: name a folder that is not.")
    made = 0
    with replacing(out) as temporary:
        temporary.mkdir()
        expected.table(wanted).to_csv(temporary / "expected.csv", index=False)
        (temporary / submission.ABOUT).write_text(TEXT, encoding="utf-8")
        for site_id, listed in wanted.of_sites.items():
            grid = wanted.sites[site_id].grid
            crs = str(grid.crs) if grid.crs else None
            profile = {
                "driver": "GTiff", "dtype": "uint8", "count": 1, "height": grid.height, "width": grid.width,
                "transform": grid.transform, "crs": crs, "compress": "deflate",
            }  # fmt: skip
            for dates in listed:
                with rasterio.open(
                    temporary / f"{expected.name(site_id, dates)}.tif", "w", **profile
                ) as file:
                    file.write(np.zeros((1, *grid.shape), np.uint8))
                made += 1
    return made
