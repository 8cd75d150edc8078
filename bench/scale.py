"""How time and memory grow with sites: every stage of a benchmark of 100, 1,000 and 10,000 real outlines.

    python bench/scale.py [100 1000 10000]      and: python bench/scale.py --polygons 44929

The sites have the shapes and the sizes of a real list (`bench/mine_list.py`), the pixels are few: 320 m,
one band, three years, a local folder of GeoTIFFs, annotated footprints. Every command is a process of its
own. `again` is the same command with nothing to do.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import mine_list
import numpy as np
import pandas as pd
import rasterio
from apart import apart

STAGES = ("sites", "archive", "fetch", "compose", "annotate", "tile", "catalog", "report", "check")
YEARS = (2019, 2020, 2021)
PIXEL_M = 320
POLYGONS_A_SITE = 4
"""Of the list, so that enough sites are laid out to take the wanted number from."""
RECIPE = """\
title: Scale
sensor: {{bands: [R], rgb: [R, R, R], resolution: {pixel}, dtype: uint8}}
source: {{name: local, path: images, pattern: '.*_(?P<date>\\d{{4}})\\.tif', bands: {{R: 1}}}}
periods: {{unit: year, start: "{first}", end: "{last}"}}
sites: {{mines: mines.gpkg, group_m: 500, buffer_m: 500, min_size_m: 5120, limit: {sites}}}
selection: {{policy: least_cloudy, min_clear: 0.1, min_period_clear: 0.1, coregister: false}}
tiling: {{size: 16, edge: shift}}
pairs: all
labels: {{source: annotations}}
split: {{by: site, train: 0.7, val: 0.1, test: 0.2, stratify: [country], min_distance_m: 500, seed: 1}}
citation: ""
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sites", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--polygons", type=int, help="Time `new` and `sites` on so many polygons instead.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("params.yaml").write_text("benchmarks: [scale]\nworkers: 2\n")
        if asked.polygons:
            whole_list(asked.polygons)
            return
        show(pd.concat([whole(count) for count in asked.sites]))


def whole_list(polygons: int) -> None:
    apart(mine_list.write, Path("mines.gpkg"), polygons)
    for words in (["new", "scale", "--mines", "mines.gpkg", "--source", "earthengine"],
                  ["sites", "--benchmark", "scale"]):  # fmt: skip
        seconds, peak = timed(words)
        print(f"{words[0]:6} of {polygons:,} polygons: {seconds:.1f} s, {peak:.0f} MB", flush=True)


def whole(count: int) -> pd.DataFrame:
    """Seconds and peak memory of each stage, first and again."""
    for name in ("catalogs", "data", "images"):
        shutil.rmtree(name, ignore_errors=True)
    folder = Path("catalogs/scale")
    apart(mine_list.write, folder / "mines/mines.gpkg", POLYGONS_A_SITE * count + 200)
    text = RECIPE.format(pixel=PIXEL_M, first=YEARS[0], last=YEARS[-1], sites=count)
    (folder / "recipe.yaml").write_text(text)
    rows = []
    for turn, stage in itertools.product(("first", "again"), STAGES):
        seconds, peak = timed([stage, "--benchmark", "scale"])
        sites = len(pd.read_parquet("data/scale/index/sites.parquet", columns=["site_id"]))
        rows.append((sites, turn, stage, seconds, peak))
        print(f"{sites} sites, {turn}, {stage}: {seconds:.1f} s, {peak:.0f} MB", file=sys.stderr, flush=True)
        if (turn, stage) == ("first", "report"):
            page = Path("data/scale/report/index.html").stat().st_size
            print(f"{sites} sites, the report's page: {page / 1e6:.1f} MB", file=sys.stderr, flush=True)
        if (turn, stage) == ("first", "sites"):
            apart(make_images)
    return pd.DataFrame(rows, columns=["sites", "turn", "stage", "seconds", "peak"])


def make_images() -> None:
    """An image a site and year, and its footprint in each year, which grows."""
    sites = gpd.read_parquet("data/scale/index/sites.parquet")
    rng = np.random.default_rng(0)
    Path("images").mkdir()
    drawn = []
    for site in sites.itertuples():
        transform = rasterio.Affine(PIXEL_M, 0, site.left, 0, -PIXEL_M, site.top)
        for number, year in enumerate(YEARS):
            pixels = rng.integers(1, 255, (1, site.height, site.width), np.uint8)
            with rasterio.open(
                f"images/{site.site_id}_{year}.tif", "w", driver="GTiff", count=1, dtype="uint8", nodata=0,
                crs=f"EPSG:{site.epsg}", transform=transform, height=site.height, width=site.width,
            ) as file:  # fmt: skip
                file.write(pixels)
            drawn.append((site.site_id, str(year), site.footprint.buffer(0.003 * number)))
    table = pd.DataFrame(drawn, columns=["site_id", "year", "geometry"])
    Path("catalogs/scale/annotations").mkdir()
    gpd.GeoDataFrame(table, crs=4326).to_parquet("catalogs/scale/annotations/footprints.parquet")


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command."""
    start = time.perf_counter()
    with Path("said").open("w+") as said:
        process = subprocess.Popen(["minebench", *words], stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"minebench {' '.join(words)}: {said.seek(0) or said.read()[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def show(found: pd.DataFrame) -> None:
    """Milliseconds a site and peak memory by stage and number of sites, and how they grow."""
    for turn, own in found.groupby("turn", sort=False):
        each = own.assign(ms=1000 * own.seconds / own.sites)
        ms, peak = (each.pivot_table(v, "stage", "sites").loc[list(STAGES)] for v in ("ms", "peak"))
        ms.loc["all"] = ms.sum()
        least, most = ms.columns[0], ms.columns[-1]
        table = ms.round(2).add_prefix("ms/site, ").assign(growth=(ms[most] / ms[least]).round(2))
        print(f"\n{turn}:\n{table.join(peak.round(0).add_prefix('peak MB, ')).to_string()}")


if __name__ == "__main__":
    main()
