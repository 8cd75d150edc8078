"""One masked annual median from the same files: minebench, odc-stac with xarray, and only decoding.

    python bench/compose.py [--size 1200] [--dates 12] [--runs 3] [--granules one|two]

Each variant runs in a process of its own, in turn, on two threads; the first round is not counted,
and in each process the second call is timed, as a site has many periods. Peak memory is the whole
process's, libraries included; `imports` is a process that has only loaded minebench's.
Throughput is in bands x megapixels x dates a second. The archive is synthetic: real COGs in the
form of Sentinel-2 L2A, ten bands and SCL, deflate. The first three variants read what `fetch` keeps of it
(`minebench` as the stage `compose` does, checksums included; `odc` the very same files), the others the
COGs themselves. The last lines say how the results differ.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
VARIANTS = ("imports", "decode", "minebench", "odc", "minebench, source", "odc, source")
PLACES = {"one": "4.41,45.63", "two": "14.27,51.63"}
"""One granule a date, or two overlapping ones and at times a second orbit on the same day."""
RECIPE = """
title: bench (synthetic)
sensor:
  bands: [B02, B03, B04, B05, B06, B07, B08, B8A, B11, B12]
  rgb: [B04, B03, B02]
  resolution: 10
  snap: 20
source: {{name: synthetic, scenes_per_period: {dates}}}
periods: {{unit: year, start: "2021", end: "2021"}}
selection: {{max_cloud: 100, min_clear: 0, max_days: 64, min_period_clear: 0, measure_shifts: false}}
sites: {{mines: site.csv, point_radius_m: 1000, min_size_m: {metres}}}
labels: {{source: none}}
tiling: {{size: 160}}
pairs: all
split: {{train: 1, val: 0, test: 0}}
citation: ""
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1200, help="side of the AOI in pixels of 10 m")
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--granules", choices=PLACES, default="one")
    parser.add_argument("--variant", choices=[*VARIANTS, "prepare"], help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant == "prepare":
        prepare(options.root, options.size, options.dates, options.granules)
    elif options.variant:
        run_one(options.variant, options.root)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), options)


def compare(root: Path, options: argparse.Namespace) -> None:
    """Make the archive, run every variant in turn, print the table."""
    # In a process of its own: a child's peak memory starts from its parent's.
    subprocess.run([sys.executable, *sys.argv, "--variant", "prepare", "--root", str(root)], check=True)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for number in range(options.runs + 1):
        for name in VARIANTS:
            command = [sys.executable, __file__, "--variant", name, "--root", str(root)]
            line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            if number:
                found[name].append(json.loads(line.splitlines()[-1]))
    work = 10 * (options.size**2 / 1e6) * found["minebench"][0]["dates"]
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mb")}
        for name, runs in found.items()
    }
    ours = middle["minebench"]
    print(f"{options.size} px, {found['minebench'][0]['dates']:.0f} dates, median of {options.runs} runs")
    print(f"{'':18}{'s':>8}{'Mpx/s':>10}{'peak MB':>10}{'time vs ours':>15}{'memory vs ours':>16}")
    print(f"{'imports':18}{'-':>8}{'-':>10}{middle['imports']['peak_mb']:10.0f}")
    for name in VARIANTS[1:]:
        row = middle[name]
        print(
            f"{name:18}{row['seconds']:8.2f}{work / row['seconds']:10.0f}{row['peak_mb']:10.0f}"
            f"{row['seconds'] / ours['seconds']:14.2f}x{row['peak_mb'] / ours['peak_mb']:15.2f}x"
        )
    ours = np.load(root / "minebench.npy").astype(np.int64)
    for name in VARIANTS[3:]:
        off = np.abs(ours - np.load(root / f"{name}.npy"))
        print(f"{name}: differs by at most {off.max()} DN, in {(off > 0).mean():.2%} of values")


def prepare(root: Path, size: int, dates: int, granules: str) -> None:
    from minebench.layout import BenchmarkPaths
    from pipeline import recipe
    from pipeline.core.runner import Spread
    from pipeline.scenes import fetch
    from pipeline.sites import build
    from pipeline.synthetic import make

    benchmark = BenchmarkPaths("bench", root)
    benchmark.mines.mkdir(parents=True)
    (benchmark.mines / "site.csv").write_text(f"name,lon,lat\nBench,{PLACES[granules]}\n")
    benchmark.recipe.write_text(RECIPE.format(dates=dates, metres=size * 10))
    loaded = recipe.load(benchmark.recipe)
    build.build(benchmark, loaded)
    make.build(benchmark, loaded, Spread(THREADS))
    fetch.build(benchmark, loaded, Spread(THREADS))


def run_one(variant: str, root: Path) -> None:
    """Run one variant, save its image, print seconds, dates and peak memory as JSON."""
    from minebench.layout import BenchmarkPaths
    from pipeline import recipe, sources
    from pipeline.sites import site as sites

    benchmark = BenchmarkPaths("bench", root)
    loaded = recipe.load(benchmark.recipe)
    site = sites.load(benchmark, loaded)[0]
    source = sources.open(benchmark, loaded)
    scenes = source.search(site.geometry, *loaded.periods.periods()[0].search_window(None))
    name, _, files = variant.partition(", ")
    function = {"imports": imports, "decode": decode, "minebench": minebench, "odc": odc}[name]
    make_reader: Any = FromSource if files else FromKept
    function(benchmark, loaded, scenes, site.grid, make_reader(benchmark, loaded, site, source, scenes))
    start = time.perf_counter()
    reader = make_reader(benchmark, loaded, site, source, scenes)
    image, dates = function(benchmark, loaded, scenes, site.grid, reader)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if image is not None:
        np.save(root / f"{variant}.npy", image)
    print(json.dumps({"seconds": seconds, "dates": dates, "peak_mb": peak}))


class FromSource:
    """Reads a scene's pixels straight from the source's COGs."""

    def __init__(self, benchmark: Any, recipe: Any, site: Any, source: Any, scenes: list[Any]) -> None:
        from pipeline.scenes import reader

        self.source, self.root = source, benchmark.archive
        self.scenes = {scene.id: scene for scene in scenes}
        self.mask_grid = reader.mask_grid(site.grid, recipe, source)
        self.grids = {
            band: area
            for area, bands in reader.by_grid(source, scenes[0], recipe, site.grid)
            for band in bands
        }

    def classes(self, scene: str) -> np.ndarray:
        return self.source.read(self.scenes[scene], ["SCL"], self.mask_grid)[0]

    def look_up(self, scene: str) -> None:
        """There is nothing to check."""

    def shape(self, scene: str, band: str) -> tuple[int, int]:
        return tuple(self.grids[band].shape)

    def band(self, scene: str, band: str, out: Any = None) -> np.ndarray:
        pixels = self.source.read(self.scenes[scene], [band], self.grids[band])[0]
        if out is not None:
            out[:] = pixels
        return pixels

    def items(self) -> tuple[list[Any], dict[str, str]]:
        """STAC items, and the name of each band's asset."""
        import pystac

        from pipeline.sensors.sentinel2 import ASSETS

        catalog = pystac.Catalog.from_file(str(self.root / "catalog.json"))
        return [item for item in catalog.get_items(recursive=True) if item.id in self.scenes], ASSETS

    def offset(self, scene: Any) -> int:
        return scene.offset


class FromKept:
    """Reads what `fetch` has kept, as the stage `compose` does."""

    def __init__(self, benchmark: Any, recipe: Any, site: Any, source: Any, scenes: list[Any]) -> None:
        from pipeline.cubes.kept_scenes import KeptScenes
        from pipeline.scenes.store import SceneStore

        self.store, self.scenes = SceneStore(benchmark.scenes(site.site_id)), scenes
        self.outline = site.geometry
        kept = KeptScenes(self.store, recipe.profile)
        self.look_up, self.classes, self.band, self.shape = kept.look_up, kept.classes, kept.band, kept.shape

    def items(self) -> tuple[list[Any], dict[str, str]]:
        """STAC items of the kept files; a file of several bands is an asset with as many."""
        import pystac
        import rasterio
        from shapely.geometry import mapping

        found, keys = [], {}
        for scene in self.scenes:
            item = pystac.Item(scene.id, mapping(self.outline), self.outline.bounds, scene.time, {})
            names = {"SCL": self.store.mask(scene.id), **{n: n for n in self.store.bands(scene.id)}}
            for key, name in names.items():
                with rasterio.open(self.store.folder / name) as file:
                    part = key if key == "SCL" else file.res[0]
                    asset = pystac.Asset(
                        str(self.store.folder / name),
                        media_type=pystac.MediaType.GEOTIFF,
                        extra_fields={
                            "proj:code": f"EPSG:{file.crs.to_epsg()}", "proj:shape": list(file.shape),
                            "proj:transform": list(file.transform)[:6],
                            "raster:bands": [{"data_type": file.dtypes[0], "nodata": 0}] * file.count,
                        },
                    )  # fmt: skip
                    keys |= {b: f"{part}.{i}" for i, b in enumerate(file.descriptions, 1) if key != "SCL"}
                item.add_asset(str(part), asset)
            found.append(item)
        return found, keys

    def offset(self, scene: Any) -> int:
        """Reflectance is kept without the offset."""
        return 0


def minebench(benchmark: Any, recipe: Any, scenes: list[Any], box: Any, reader: Any) -> tuple[Any, int]:
    from pipeline.cubes import period_image

    by_day: dict[Any, list[str]] = {}
    for scene in scenes:
        by_day.setdefault(scene.time.date(), []).append(scene.id)
    days = [period_image.Day(str(day), tuple(ids)) for day, ids in sorted(by_day.items())]
    image, _ = period_image.compose(days, reader, recipe, (box.height, box.width), THREADS)
    return image, len(days)


def imports(*_: Any) -> tuple[None, int]:
    """Load minebench's libraries and do nothing."""
    return None, 0


def decode(benchmark: Any, recipe: Any, scenes: list[Any], box: Any, reader: Any) -> tuple[None, int]:
    """Read every block that the composite needs, and do nothing else."""
    tasks = [(scene.id, band) for scene in scenes for band in recipe.sensor.bands]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda task: reader.band(*task), tasks))
        list(pool.map(reader.classes, [scene.id for scene in scenes]))
    return None, len({scene.time.date() for scene in scenes})


def odc(benchmark: Any, recipe: Any, scenes: list[Any], box: Any, reader: Any) -> tuple[Any, int]:
    """odc.stac.load and xarray's median, masked and with the offset removed just as ours."""
    import dask
    import odc.stac
    import xarray as xr

    from pipeline.scenes import selection

    items, assets = reader.items()
    keys = [assets[band] for band in recipe.sensor.bands]
    mask = next(key for key in items[0].assets if key.lower() == "scl")
    resampling = {"*": "bilinear", mask: "nearest"}
    loaded = odc.stac.load(
        items, bands=[*keys, mask], geobox=box, resampling=resampling, groupby="solar_day", chunks={}
    )
    classes = odc.stac.load(items, bands=[mask], geobox=box.zoom_out(2), groupby="solar_day")[mask].to_numpy()
    clear = np.stack([selection.clear_pixels(c, recipe.selection.clear) for c in classes])
    clear = xr.DataArray(clear.repeat(2, 1).repeat(2, 2), dims=("time", "y", "x"))
    offsets = {np.datetime64(scene.time.replace(tzinfo=None), "s"): reader.offset(scene) for scene in scenes}
    offset = xr.DataArray([offsets[t.astype("datetime64[s]")] for t in loaded.time.to_numpy()], dims="time")
    bands = {}
    for key in keys:
        numbers = loaded[key]
        valid = (numbers > 0) & clear
        bands[key] = (numbers.astype("float32") - offset).clip(1).where(valid).median("time")
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        image = xr.Dataset(bands).compute()
    stacked = np.stack([image[key].to_numpy() for key in keys])
    return np.floor(np.nan_to_num(stacked)).astype(np.uint16), loaded.sizes["time"]


if __name__ == "__main__":
    os.environ.setdefault("GDAL_CACHEMAX", "16")
    main()
