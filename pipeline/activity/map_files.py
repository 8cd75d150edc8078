"""The maps of a site and source as GeoTIFFs, and as pictures.

ndtci.tif, ndtci_aoi.tif       a band per interval, float32, NaN unknown; by the whole grid's and by the
                               AOI's own stable ground
mean_ndtci.tif                 both means: whole grid, AOI
when.tif                       first and last change: number of the interval, 0 never, 65535 unknown
mean_ndtci.png, mean_ndtci_aoi.png, when.png
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image

from pipeline.activity.change_maps import Pair
from pipeline.activity.measures import Measured
from pipeline.geo import cog

UNKNOWN = 65535
TITLES = {
    "ndtci.tif": "NDTCI of each interval",
    "ndtci_aoi.tif": "NDTCI of each interval, by the AOI's stable ground",
    "mean_ndtci.tif": "Mean NDTCI: whole grid, AOI",
    "when.tif": "First and last change, number of the interval; 0 never",
    "mean_ndtci.png": "Mean NDTCI, -1 to 1",
    "mean_ndtci_aoi.png": "Mean NDTCI within the AOI, -1 to 1",
    "when.png": "In which interval each pixel first changed",
}
NAN = float("nan")


def write(folder: Path, measured: Measured, pairs: list[Pair], box: GeoBox, aoi: NDArray[np.bool_]) -> None:
    """Write all files of a source into `folder`."""
    folder.mkdir(parents=True)
    names = [f"{a} to {b}" for a, b in pairs]
    means = np.stack([act.weighted_mean(measured.weights) for act in (measured.everywhere, measured.within)])
    means[1][~aoi] = np.nan
    cog.write(folder / "ndtci.tif", measured.everywhere.index, box, NAN, names)
    cog.write(folder / "ndtci_aoi.tif", measured.within.index, box, NAN, names)
    cog.write(folder / "mean_ndtci.tif", means, box, NAN, ("whole grid", "AOI"))
    when = np.stack([np.where(measured.never, UNKNOWN, m) for m in (measured.first, measured.last)])
    cog.write(folder / "when.tif", when.astype(np.uint16), box, UNKNOWN, ("first change", "last change"))
    _picture(folder / "mean_ndtci.png", (means[0] + 1) / 2, "cividis", ~np.isnan(means[0]))
    _picture(folder / "mean_ndtci_aoi.png", (means[1] + 1) / 2, "cividis", ~np.isnan(means[1]))
    steps = measured.first / max(1, len(pairs))
    _picture(folder / "when.png", steps, "viridis", measured.first > 0)


def _picture(path: Path, values: NDArray[Any], colours: str, shown: NDArray[np.bool_]) -> None:
    """Values in 0..1 in a map's colours, transparent where they are not shown."""
    from matplotlib import colormaps

    rgba = colormaps[colours](np.where(shown, values, 0), bytes=True)
    rgba[~shown] = 0
    Image.fromarray(rgba).save(path, optimize=True)
