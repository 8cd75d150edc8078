"""Fetching from a service that answers after 200 ms: how it scales with requests at once, and how many
bytes reading the cloud band first saves.

    python bench/fetch.py [--sites 4] [--latency 0.2]

The service is the tests' stand-in for Earth Engine over a synthetic archive of the demo's mines, in a
process of its own on the same machine; the client is the real one. `stage` is all of fetch but measuring
shifts, without starting Python; `reading` is the masks of all candidates, read through the source and not
kept. Bytes are those of pixels that the service sent,
before any compression. What the stand-in computes for `composite: server` is the pipeline's own graph, in
NumPy.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PARALLEL = (1, 10, 40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--timed", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reads", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timed:
        (reads if options.reads else timed)(options.timed)
        return
    from tests.standins.base import running

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make(project, options.sites)
        with running("earthengine", str(project / "data/bench/archive"), "page=500") as service:
            key(project, service.url)
            scaling(project, service, options.latency)
            saving(project, service)


def scaling(project: Path, service: Any, latency: float) -> None:
    print(f"{'requests at once':>18} {'stage, s':>9} {'ratio':>7} ", end="")
    print(f"{'reading, s':>11} {'requests/s':>11} {'ratio':>7}")
    # The service renders each answer once, beforehand: it shares this machine's cores.
    write_recipe(project, service, "parallel: 40", "composite")
    service.set()
    fetched(project)
    slowest: tuple[float, float] = (0.0, 0.0)
    for parallel in PARALLEL:
        write_recipe(project, service, f"parallel: {parallel}", "composite")
        service.set(latency=latency)
        stage = fetched(project)
        service.set(latency=latency)
        reading = fetched(project, "--reads")
        rate = len([entry for entry in service.asked() if "getPixels" in entry[1]]) / reading
        slowest = slowest if slowest[0] else (stage, reading)
        print(f"{parallel:>18} {stage:>9.1f} {slowest[0] / stage:>6.1f}x {reading:>11.1f} {rate:>11.1f} "
              f"{slowest[1] / reading:>6.1f}x")  # fmt: skip


def saving(project: Path, service: Any) -> None:
    print(f"\n{'bytes of pixels':>28} {'MB':>8} {'share':>7}")
    # No margin around clouds: the server's medians have none either.
    every, usual = 0, "max_cloud: 90, min_clear: 0.3, cloud_margin: 0"
    for label, policy, rule, network in (
        (
            "every candidate in full",
            "composite",
            "max_cloud: 100, min_clear: 0, max_days: 64, cloud_margin: 0",
            "",
        ),
        ("cloud band first, clearest", "least_cloudy", usual, ""),
        ("cloud band first, composite", "composite", usual, ""),
        ("composite on the server", "composite", usual, ", composite: server"),
    ):
        write_recipe(project, service, f"parallel: 40{network}", policy, rule)
        service.set()
        fetched(project)
        size = sum(entry[3] for entry in service.asked() if "Pixels" in entry[1])
        every = every or size
        print(f"{label:>28} {size / 1e6:>8.1f} {size / every:>6.1%}")
        minebench(project, "compose")
        (project / "data/bench/cubes").rename(project / label)
    ours, theirs = project / "cloud band first, composite", project / "composite on the server"
    off = np.concatenate([differences(ours / path.name, path) for path in sorted(theirs.iterdir())])
    print(f"server's medians differ from ours by {np.median(off):.0f} DN (half of the numbers by less), "
          f"{np.quantile(off, 0.95):.0f} DN (95 in 100)")  # fmt: skip


def differences(ours: Path, theirs: Path) -> np.ndarray:
    """Absolute differences of reflectance (DN) where both cubes have data."""
    first, second = (xr.open_zarr(path, mask_and_scale=False, consolidated=False).reflectance.load()
                     for path in (ours, theirs))  # fmt: skip
    first, second = xr.align(first, second, join="inner")
    both = (first.values > 0) & (second.values > 0)
    return np.abs(first.values[both].astype(int) - second.values[both])


def fetched(project: Path, *words: str) -> float:
    """Fetch all anew in a process of its own; the stage's seconds."""
    subprocess.run(["rm", "-rf", str(project / "data/bench/scenes")], check=True)
    (project / "data/bench/index/scenes.parquet").unlink(missing_ok=True)
    command = [sys.executable, __file__, "--timed", str(project), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout.split()[-1])


def timed(project: Path) -> None:
    from minebench import layout
    from pipeline import recipe
    from pipeline.core.runner import Spread
    from pipeline.scenes import alignment, fetch
    from pipeline.sources.earthengine.login import sign_in

    # Measuring shifts is arithmetic that takes the same time whatever the service does.
    alignment.Aligner.anchor = lambda self, chosen: None

    benchmark = layout.find("bench", project)
    loaded = recipe.load(benchmark.recipe)
    sign_in(loaded.source)
    began = time.perf_counter()
    fetch.build(benchmark, loaded, Spread(2))
    print(time.perf_counter() - began)


def reads(project: Path) -> None:
    """Every candidate's mask through the source, and nothing done with it."""
    from minebench import layout
    from pipeline import recipe, sources
    from pipeline.scenes import reader
    from pipeline.sites import site as sites

    benchmark = layout.find("bench", project)
    loaded = recipe.load(benchmark.recipe)
    source = sources.open(benchmark, loaded)
    jobs = []
    for site in sites.load(benchmark, loaded):
        area = reader.mask_grid(site.grid, loaded, source)
        scenes = source.search(site.geometry, date(2018, 1, 1), date(2025, 1, 1))
        jobs += [(scene, area) for scene in scenes]
    pool = ThreadPoolExecutor(source.parallel)
    began = time.perf_counter()
    for _ in pool.map(lambda job: source.read(job[0], ["SCL"], job[1]), jobs):
        pass
    print(time.perf_counter() - began)


def make(project: Path, sites: int) -> None:
    """The demo's mines and archive, for so many sites."""
    folder = project / "catalogs" / "bench"
    (folder / "mines").mkdir(parents=True)
    (folder / "annotations").mkdir()
    demo = ROOT / "catalogs" / "demo"
    (folder / "mines" / "mines.geojson").write_bytes((demo / "mines" / "mines.geojson").read_bytes())
    text = (demo / "recipe.yaml").read_text().replace("  group_m: 500", f"  group_m: 500\n  limit: {sites}")
    (folder / "recipe.yaml").write_text(text)
    (project / "params.yaml").write_text("benchmarks: [bench]\nworkers: 2\n")
    for stage in ("sites", "archive"):
        minebench(project, stage)


def minebench(project: Path, stage: str) -> None:
    command = [str(Path(sys.executable).parent / "minebench"), stage]
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)


def write_recipe(project: Path, service: Any, network: str, policy: str, rule: str = "") -> None:
    path = project / "catalogs/bench/recipe.yaml"
    text = path.read_text()
    source = f"source: {{name: earthengine, url: '{service.url}', service_account_key: {project}/key.json, "
    text = re.sub(r"source:(\n  .*)+|source: \{.*\}", source + network + "}", text, count=1)
    text = text.replace("labels: {source: archive}", "labels: {source: none}")
    season = "season: {north: [6, 8], south: [12, 2]}, min_period_clear: 0"
    rule = rule or "max_cloud: 90, min_clear: 0.3"
    selection = f"selection: {{policy: {policy}, {season}, {rule}}}"
    text = re.sub(r"selection:(\n  .*)+|selection: \{.*\}$", selection, text, count=1, flags=re.MULTILINE)
    path.write_text(text)


def key(project: Path, url: str) -> None:
    from tests.e2e.test_earthengine import key_file

    key_file(project, url)


if __name__ == "__main__":
    main()
