"""Plain folders, as change-detection repositories expect them (BIT, ChangeFormer, open-cd, ...).

    A/<name>.png  B/<name>.png  label/<name>.png     all splits together; label 0 and 255
    list/train.txt  list/val.txt  list/test.txt      names with their suffix, a line each

With --image tif A and B are GeoTIFFs of all bands in stored numbers, label a GeoTIFF in {0, 1, 255} in
which 255 is unknown; pictures of 8 bits have a mask where there is no data, for black is a colour.
"""

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from minebench.cube import encoding
from pipeline.export.jobs import SPLITS, Job, Pair, binary, shown


def write(job: Job) -> None:
    """Write all pairs and the lists."""
    for name in ("A", "B", "label", "list"):
        (job.folder / name).mkdir()
    listed: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split, pair in shown(job, "export"):
        listed[split].append(f"{pair.name}.{job.image}")
        (_geotiffs if job.image == "tif" else pictures)(job, pair, job.folder)
    for split, names in listed.items():
        (job.folder / "list" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    if job.image == "tif":
        job.made_known = 0


def pictures(job: Job, pair: Pair, folder: Path) -> None:
    """A pair as three PNG files."""
    for name, pixels in (("A", job.rgb(pair.a)), ("B", job.rgb(pair.b)), ("label", binary(pair.label))):
        Image.fromarray(pixels).save(folder / name / f"{pair.name}.png")


def _geotiffs(job: Job, pair: Pair, folder: Path) -> None:
    box = job.site(pair.tile.site_id).grid
    corner = box.translate_pix(pair.tile.x0, pair.tile.y0).transform
    kind = job.recipe.sensor.encoding
    a, b = (encoding.stored(pixels, kind.dtype) for pixels in (pair.a, pair.b))
    for name, pixels in (("A", a), ("B", b), ("label", pair.label[np.newaxis])):
        profile = {
            "driver": "GTiff", "count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2],
            "dtype": pixels.dtype, "transform": corner, "crs": str(box.crs) if box.crs else None,
            "nodata": 255 if name == "label" else None if name in pair.seen else kind.nodata,
            "compress": "deflate",
        }  # fmt: skip
        path = folder / name / f"{pair.name}.tif"
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
            file.write(pixels)
            if name in pair.seen and not pair.seen[name].all():
                file.write_mask(pair.seen[name])
            if name != "label":
                file.descriptions = job.recipe.sensor.bands
