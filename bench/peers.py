"""The whole job as a user pays for it: twelve local GeoTIFFs to one median in a cube, against rslearn.

    python bench/peers.py --rslearn /path/to/python [--side 1200] [--sites 1]

1200 x 1200 pixels, 10 bands, 12 dates, synthetic, shifted against each other by up to half a pixel; as often
as there are sites. Ours are the three commands `sites`, `fetch` and `compose`, with two workers, with shifts
measured and without. rslearn is its prepare, ingest and materialise with MEDIAN, started once, in two
processes where there are several windows, from an interpreter that has it:

    pip install --no-deps rslearn and, by name, what `python -c 'import rslearn.dataset.manage'` asks for

Without --rslearn ours are timed alone. Results are compared to the number.
"""

import argparse
import contextlib
import multiprocessing
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import rasterio
from apart import apart  # type: ignore[import-not-found]

DATES, BANDS, LEFT, TOP, PIXEL_M, WORKERS = 12, 10, 500_000, 5_700_000, 10, 2
APART = 1.5
"""Sides of a site from one to the next, eastwards."""
NAMES = [f"B{band}" for band in range(1, BANDS + 1)]
RECIPE = """\
title: peers
sensor: {{bands: [{bands}], rgb: [B3, B2, B1], resolution: 10}}
source: {{name: local, path: images, pattern: 's\\d+_(?P<date>\\d{{8}})\\.tif', bands: {{{places}}}}}
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
    parser.add_argument("--sites", type=int, default=1)
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.theirs:
        rslearn_job(Path(asked.theirs), asked.side, asked.sites)
        return
    with tempfile.TemporaryDirectory() as folder:
        side, sites = asked.side, asked.sites
        project = apart(prepared, Path(folder), side, sites)
        found = {"minebench": ours(project, side, sites, "coregister: false")}
        medians = [cube(project, side, site) for site in range(sites)]
        found["no shifts measured"] = ours(project, side, sites, "measure_shifts: false")
        if asked.rslearn:
            words = ["--theirs", str(project), "--side", str(side), "--sites", str(sites)]
            found["rslearn"] = timed([asked.rslearn, __file__, *words], project)
            compare(project, medians)
        seconds, peak = found["minebench"]
        print(f"{'':>20} {'seconds':>8} {'ratio':>7} {'peak MB':>8} {'ratio':>7}")
        for name, (own, memory) in found.items():
            print(f"{name:>20} {own:>8.1f} {own / seconds:>6.2f}x {memory:>8.0f} {memory / peak:>6.2f}x")


def left_of(site: int, side: int) -> int:
    """Its western edge, metres."""
    return LEFT + round(site * APART * side) * PIXEL_M


def prepared(project: Path, side: int, sites: int) -> Path:
    from scipy.ndimage import gaussian_filter, shift

    rng = np.random.default_rng(0)
    land = gaussian_filter(rng.uniform(500, 4000, (BANDS, side, side)), (0, 2, 2)) * 3
    (project / "images").mkdir()
    (project / "catalogs/peers/mines").mkdir(parents=True)
    (project / "params.yaml").write_text(f"benchmarks: [peers]\nworkers: {WORKERS}\n")
    for site, date in np.ndindex(sites, DATES):
        transform = rasterio.Affine(PIXEL_M, 0, left_of(site, side), 0, -PIXEL_M, TOP)
        moved = shift(land, (0, *rng.uniform(-0.5, 0.5, 2)), order=1, mode="nearest")
        pixels = (moved + rng.normal(0, 30, land.shape)).clip(1, 9999).astype(np.uint16)
        path = project / f"images/s{site}_2020{date + 1:02d}15.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=BANDS, dtype="uint16",
            nodata=0, crs="EPSG:32633", transform=transform, height=side, width=side, compress="deflate",
            tiled=True, blockxsize=256, blockysize=256,
        ) as file:  # fmt: skip
            file.write(pixels)
    return project


def ours(project: Path, side: int, sites: int, rule: str) -> tuple[float, float]:
    import shapely

    from pipeline.geo import geodesy

    half = side * PIXEL_M / 2
    table = ["name,lon,lat"]
    for site in range(sites):
        middle = geodesy.project(shapely.Point(left_of(site, side) + half, TOP - half), 32633, 4326)
        table.append(f"s{site},{middle.x!r},{middle.y!r}")
    (project / "catalogs/peers/mines/m.csv").write_text("\n".join([*table, ""]))
    places = ", ".join(f"{name}: {band}" for band, name in enumerate(NAMES, 1))
    (project / "catalogs/peers/recipe.yaml").write_text(
        RECIPE.format(bands=", ".join(NAMES), places=places, radius=half, rule=rule)
    )
    shutil.rmtree(project / "data", ignore_errors=True)
    found = [timed(["minebench", stage], project) for stage in ("sites", "fetch", "compose")]
    return sum(seconds for seconds, _ in found), max(peak for _, peak in found)


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds, and the most memory (MB) that a command and the processes it starts held together: what
    they share is counted once, by shares."""
    begun, peak, done = time.perf_counter(), 0.0, False
    with (folder / "said").open("w+") as said:
        process = psutil.Popen(command, cwd=folder, stdout=said, stderr=said)
        while not done:
            try:
                process.wait(0.1)
                done = True
            except psutil.TimeoutExpired:
                peak = max(peak, held(process))
        if process.returncode:
            sys.exit(f"{command}: {said.seek(0) or said.read()[-2000:]}")
    return time.perf_counter() - begun, peak / 1e6


def held(process: psutil.Process) -> float:
    """Bytes that a process and its children hold."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            total += one.memory_full_info().pss
    return total


def cube(project: Path, side: int, site: int) -> np.ndarray:
    """Our median (band, y, x), as far as there are images: an AOI ends on the grid, a step further out."""
    import xarray as xr

    left = left_of(site, side)
    for path in (project / "data/peers/cubes").glob("*.zarr"):
        opened = xr.open_zarr(path, mask_and_scale=False, consolidated=False)
        column = round((left - float(opened.x[0]) + PIXEL_M / 2) / PIXEL_M)
        row = round((float(opened.y[0]) + PIXEL_M / 2 - TOP) / PIXEL_M)
        if 0 <= column < side / 4:
            return opened.reflectance.values[0, :, row : row + side, column : column + side]
    raise ValueError(f"no cube begins at {left}")


def rslearn_job(project: Path, side: int, sites: int) -> None:
    """Prepare, ingest and materialise a window a site with a median of all items."""
    import json

    from rslearn.dataset import Dataset
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
    dataset = Dataset(UPath(folder))
    for site in range(sites):
        left, top = left_of(site, side) // PIXEL_M, -TOP // PIXEL_M
        Window(
            storage=dataset.storage, group="default", name=f"s{site}",
            bounds=(left, top, left + side, top + side),
            projection=Projection(rasterio.crs.CRS.from_epsg(32633), PIXEL_M, -PIXEL_M),
            time_range=(datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)),
        ).save()  # fmt: skip
    if sites == 1:
        for step in STEPS:
            theirs(folder, "s0", step)
        return
    with multiprocessing.Pool(WORKERS) as pool:
        for step in STEPS:
            pool.starmap(theirs, [(folder, f"s{site}", step) for site in range(sites)], chunksize=1)


STEPS = ("prepare_dataset_windows", "ingest_dataset_windows", "materialize_dataset_windows")


def theirs(folder: Path, window: str, step: str) -> None:
    """One of rslearn's steps for one window."""
    from rslearn.dataset import Dataset, manage
    from upath import UPath

    dataset = Dataset(UPath(folder))
    getattr(manage, step)(dataset, dataset.load_windows(names=[window]))


def compare(project: Path, medians: list[np.ndarray]) -> None:
    for site, median in enumerate(medians):
        (path,) = (project / f"rslearn/windows/default/s{site}").rglob("*.tif")
        with rasterio.open(path) as file:
            off = np.abs(file.read().astype(int) - median.astype(int))
        print(f"medians differ by at most {off.max()} DN, in {100 * (off > 0).mean():.2f}% of values")


if __name__ == "__main__":
    main()
