"""How fetching scales with the workers of a Dask cluster, from a service that answers after 200 ms.

    python bench/cluster.py [--latency 0.2] [--workers 1 2 4]

Workers have a thread each, on loopback, and share the two cores with the tests' stand-in for web tiles and
with the scheduler; eight sites, two releases. The service takes as many requests at once as asked for.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distributed import LocalCluster

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.standins.base import Running, running

SITES = 8
RECIPE = """\
title: bench
sensor: {{bands: [R, G, B], rgb: [R, G, B], resolution: 1.2, dtype: uint8}}
source:
  name: xyz
  template: "{url}/pattern/{{release}}/{{z}}/{{x}}/{{y}}"
  releases: {{"2020-03-01": r1, "2022-03-01": r2}}
  zoom: 17
  attribution: Nobody
  terms: https://example.org/terms
  parallel: 16
  per_second: 1000
periods: {{dates: ["2020", "2022"]}}
selection: {{policy: least_cloudy, min_clear: 0, min_period_clear: 0, measure_shifts: false}}
sites: {{mines: mines.csv, geometry: extent, point_radius_m: 100, buffer_m: 0, min_size_m: 256}}
labels: {{source: none}}
tiling: {{size: 64}}
pairs: all
split: {{train: 0.34, val: 0.33, test: 0.33}}
citation: ""
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running("tiles", "", "14.2,51.6") as service:
        project = prepared(Path(folder), service)
        first = 0.0
        print(f"{'workers':>8} {'seconds':>8} {'requests/s':>11} {'ratio':>7}")
        for count in asked.workers:
            seconds, requests = fetched(project, service, count, asked.latency)
            first = first or seconds
            print(
                f"{count:>8} {seconds:>8.1f} {requests / seconds:>11.1f} {first / seconds:>6.2f}x", flush=True
            )


def prepared(project: Path, service: Running) -> Path:
    folder = project / "catalogs/bench"
    (folder / "mines").mkdir(parents=True)
    (project / "params.yaml").write_text("benchmarks: [bench]\nworkers: 2\n")
    (folder / "recipe.yaml").write_text(RECIPE.format(url=service.url))
    rows = [f"m{i},{10 + i % 4},{45 + i // 4}" for i in range(SITES)]
    (folder / "mines/mines.csv").write_text("\n".join(["name,lon,lat", *rows]) + "\n")
    minebench(project, "sites")
    return project


def fetched(project: Path, service: Running, workers: int, latency: float) -> tuple[float, int]:
    """Seconds from the first request to the last, and how many there were."""
    for name in ("scenes", "tiles"):
        shutil.rmtree(project / "data/bench" / name, ignore_errors=True)
    for path in (project / "data/bench").rglob("*"):
        if path.is_dir() and path.name in {"xyz", "cache"}:
            shutil.rmtree(path, ignore_errors=True)
    (project / "data/bench/index/scenes.parquet").unlink(missing_ok=True)
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, local_directory=str(project / "dask")
    ) as cluster:
        # Once unmeasured: what workers import, they have imported.
        time.sleep(1)
        service.set(latency=latency)
        minebench(project, "fetch", "--scheduler", cluster.scheduler_address)
    asked = service.asked()
    begun = [entry[6] for entry in asked]
    return max(begun) + latency - min(begun), len(asked)


def minebench(project: Path, *words: str) -> None:
    done = subprocess.run(["minebench", *words], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


if __name__ == "__main__":
    main()
