"""The whole job as a user pays for it: twelve local GeoTIFFs to one median in a cube, against rslearn.

    python bench/peers.py --rslearn /path/to/python [--side 1200]

1200 x 1200 pixels, 10 bands, 12 dates, synthetic, shifted against each other by up to half a pixel. Ours are
the three commands `sites`, `fetch` and `compose`, a process each, with shifts measured and without. rslearn
is its prepare, ingest and materialise with MEDIAN, in one process, from an interpreter that has it:

    pip install --no-deps rslearn and, by name, what `python -c 'import rslearn.dataset.manage'` asks for

Without --rslearn ours are timed alone. Results are compared to the number.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from apart import apart  # type: ignore[import-not-found]

DATES, BANDS, LEFT, TOP, PIXEL_M = 12, 10, 500_000, 5_700_000, 10
NAMES = [f"B{band}" for band in range(1, BANDS + 1)]
RECIPE = """\
title: peers
sensor: {{bands: [{bands}], rgb: [B3, B2, B1], resolution: 10}}
source: {{name: local, path: images, pattern: 'a_(?P<date>\\d{{8}})\\.tif', bands: {{{places}}}}}
periods: {{unit: year, start: "2020", end: "2020"}}
sites: {{mines: m.csv, geometry: extent, point_radius_m: {radius}, buffer_m: 0, min_size_m: 100}}
selection: {{policy: composite, min_clear: 0, min_period_clear: 0, {rule}}}
labels: {{source: none}}
tiling: {{size: 240}}
pairs: all
split: {{train: 0.34, val: 0.33, test: 0.33}}
citation: ""
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rslearn", help="An interpreter that has rslearn.")
    parser.add_argument("--side", type=int, default=1200)
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.theirs:
        rslearn_job(Path(asked.theirs))
        return
    with tempfile.TemporaryDirectory() as folder:
        project = apart(prepared, Path(folder), asked.side)
        found = {"minebench": ours(project, asked.side, "coregister: false")}
        median = cube(project)
        found["no shifts measured"] = ours(project, asked.side, "measure_shifts: false")
        if asked.rslearn:
            found["rslearn"] = timed([asked.rslearn, __file__, "--theirs", str(project)], project)
            compare(project, median)
        seconds, peak = found["minebench"]
        print(f"{'':>20} {'seconds':>8} {'ratio':>7} {'peak MB':>8} {'ratio':>7}")
        for name, (own, memory) in found.items():
            print(f"{name:>20} {own:>8.1f} {own / seconds:>6.2f}x {memory:>8.0f} {memory / peak:>6.2f}x")


def prepared(project: Path, side: int) -> Path:
    from scipy.ndimage import gaussian_filter, shift

    rng = np.random.default_rng(0)
    land = gaussian_filter(rng.uniform(500, 4000, (BANDS, side, side)), (0, 2, 2)) * 3
    (project / "images").mkdir()
    (project / "catalogs/peers/mines").mkdir(parents=True)
    (project / "params.yaml").write_text("benchmarks: [peers]\nworkers: 2\n")
    transform = rasterio.Affine(PIXEL_M, 0, LEFT, 0, -PIXEL_M, TOP)
    for date in range(DATES):
        moved = shift(land, (0, *rng.uniform(-0.5, 0.5, 2)), order=1, mode="nearest")
        pixels = (moved + rng.normal(0, 30, land.shape)).clip(1, 9999).astype(np.uint16)
        with rasterio.open(
            project / f"images/a_2020{date + 1:02d}15.tif", "w", driver="GTiff", count=BANDS, dtype="uint16",
            nodata=0, crs="EPSG:32633", transform=transform, height=side, width=side, compress="deflate",
            tiled=True, blockxsize=256, blockysize=256,
        ) as file:  # fmt: skip
            file.write(pixels)
    return project


def ours(project: Path, side: int, rule: str) -> tuple[float, float]:
    import shapely

    from pipeline.geo import geodesy

    half = side * PIXEL_M / 2
    middle = geodesy.project(shapely.Point(LEFT + half, TOP - half), 32633, 4326)
    (project / "catalogs/peers/mines/m.csv").write_text(f"name,lon,lat\na,{middle.x!r},{middle.y!r}\n")
    places = ", ".join(f"{name}: {band}" for band, name in enumerate(NAMES, 1))
    (project / "catalogs/peers/recipe.yaml").write_text(
        RECIPE.format(bands=", ".join(NAMES), places=places, radius=half, rule=rule)
    )
    shutil.rmtree(project / "data", ignore_errors=True)
    found = [timed(["minebench", stage], project) for stage in ("sites", "fetch", "compose")]
    return sum(seconds for seconds, _ in found), max(peak for _, peak in found)


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a process."""
    begun = time.perf_counter()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command}: {said.seek(0) or said.read()[-2000:]}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def cube(project: Path) -> np.ndarray:
    """Our median (band, y, x), as far as there are images: an AOI ends on the grid, a step further out."""
    import xarray as xr

    (path,) = (project / "data/peers/cubes").glob("*.zarr")
    opened = xr.open_zarr(path, mask_and_scale=False, consolidated=False)
    column = round((LEFT - float(opened.x[0]) + PIXEL_M / 2) / PIXEL_M)
    row = round((float(opened.y[0]) + PIXEL_M / 2 - TOP) / PIXEL_M)
    with rasterio.open(next((project / "images").glob("*.tif"))) as file:
        return opened.reflectance.values[0, :, row : row + file.height, column : column + file.width]


def rslearn_job(project: Path) -> None:
    """Prepare, ingest and materialise one window with a median of all items."""
    import json

    from rslearn.dataset import Dataset
    from rslearn.dataset.manage import (
        ingest_dataset_windows,
        materialize_dataset_windows,
        prepare_dataset_windows,
    )
    from rslearn.dataset.window import Window
    from rslearn.utils.geometry import Projection
    from upath import UPath

    folder = project / "rslearn"
    folder.mkdir(exist_ok=True)
    source = {
        "class_path": "rslearn.data_sources.local_files.LocalFiles",
        "init_args": {"src_dir": str(project / "images")},
        "query_config": {"space_mode": "MOSAIC", "mosaic_compositing_overlaps": DATES, "max_matches": 1},
    }
    bands = {"dtype": "uint16", "bands": NAMES, "nodata_value": 0}
    layer = {"type": "raster", "band_sets": [bands], "compositing_method": "MEDIAN", "data_source": source}
    (folder / "config.json").write_text(json.dumps({"layers": {"median": layer}}))
    with rasterio.open(next((project / "images").glob("*.tif"))) as file:
        side = file.width
    dataset = Dataset(UPath(folder))
    bounds = (LEFT // PIXEL_M, -TOP // PIXEL_M, LEFT // PIXEL_M + side, -TOP // PIXEL_M + side)
    window = Window(
        storage=dataset.storage, group="default", name="a", bounds=bounds,
        projection=Projection(rasterio.crs.CRS.from_epsg(32633), PIXEL_M, -PIXEL_M),
        time_range=(datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)),
    )  # fmt: skip
    window.save()
    windows = dataset.load_windows()
    for step in (prepare_dataset_windows, ingest_dataset_windows, materialize_dataset_windows):
        step(dataset, windows)


def compare(project: Path, median: np.ndarray) -> None:
    found = [path for path in (project / "rslearn/windows").rglob("*.tif")]
    with rasterio.open(found[0]) as file:
        theirs = file.read()
    off = np.abs(theirs.astype(int) - median.astype(int))
    print(f"medians differ by at most {off.max()} DN, in {100 * (off > 0).mean():.2f}% of values")


if __name__ == "__main__":
    main()
