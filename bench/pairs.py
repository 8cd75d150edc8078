"""All 45 pairs of 133 sites of 900 x 900 pixels, in one pass and by the plain loop over pairs.

The cubes are written first, as `annotate` writes them: masks of round mines that grow over ten years.
`table` is the whole of it, reading included, one site in memory; `counting` the arithmetic alone.
"""

import argparse
import resource
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import zarr
from rich.progress import track

from minebench.cube import labels, shards
from minebench.files import write_json
from pipeline.cubes.writer import WORK

YEARS, SIDE = 10, 900


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten years of a growing mine, and how often each pixel was clear."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(y - rng.uniform(300, 600), x - rng.uniform(300, 600)) + rng.uniform(-20, 20, (SIDE, SIDE))
    radius = rng.uniform(60, 200) + np.cumsum(rng.uniform(-1, 6, YEARS))
    mine = (away < radius[:, None, None]).astype(np.uint8)
    clear = rng.integers(0, 30, (YEARS, SIDE, SIDE)).astype(np.uint8)
    return mine, clear


def write(folder: Path, sites: int) -> list[Path]:
    """Cubes with `mine` and `clear` only."""
    paths = []
    for number in track(range(sites), "writing cubes", transient=True):
        path = folder / f"site-{number}.zarr"
        write_json({"zarr_format": 3, "node_type": "group", "attributes": {}}, path / "zarr.json")
        for name, array in zip(("mine", "clear"), masks(number), strict=True):
            stored = zarr.create_array(path / name, shape=array.shape, dtype="uint8", chunks=(1, 160, 160),
                                       shards=(YEARS, 960, 960), compressors=WORK)  # fmt: skip
            stored[:] = array
        paths.append(path)
    return paths


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    mine, clear = shards.read(path / "mine"), shards.read(path / "clear")
    return mine, (mine != 255) & (clear > 0)


def read_by_zarr(path: Path) -> tuple[np.ndarray, np.ndarray]:
    group = zarr.open_group(path, mode="r")
    mine, clear = np.asarray(group["mine"][:]), np.asarray(group["clear"][:])
    return mine, (mine != 255) & (clear > 0)


def loop(mine: np.ndarray, known: np.ndarray) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Expanded, reduced and known pixels of each pair, one pair after the other."""
    found = {}
    for i, j in combinations(range(len(mine)), 2):
        both = known[i] & known[j]
        expanded = int(((mine[i] == 0) & (mine[j] == 1) & both).sum())
        reduced = int(((mine[i] == 1) & (mine[j] == 0) & both).sum())
        found[i, j] = expanded, reduced, int(both.sum())
    return found


def one_pass(mine: np.ndarray, known: np.ndarray) -> dict[tuple[int, int], tuple[int, int, int]]:
    counts = labels.changes(mine, known)
    return {
        (i, j): (int(counts.expanded[i, j]), int(counts.reduced[i, j]), int(counts.known[i, j]))
        for i, j in combinations(range(len(mine)), 2)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=133)
    sites = parser.parse_args().sites
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), sites)
        seconds: dict[str, dict[str, float]] = {}
        results = {}
        for name, load, count in (
            ("one pass", read, one_pass), ("read by zarr", read_by_zarr, one_pass),
            ("loop over pairs", read_by_zarr, loop),
        ):  # fmt: skip
            start, counting = time.perf_counter(), 0.0
            found = []
            for path in paths:
                mine, known = load(path)
                begun = time.perf_counter()
                found.append(count(mine, known))
                counting += time.perf_counter() - begun
            seconds[name] = {"table": time.perf_counter() - start, "counting": counting}
            results[name] = found
    assert results["one pass"] == results["loop over pairs"] == results["read by zarr"]
    print(f"{sites} sites of {SIDE} x {SIDE} pixels, {YEARS} years, 45 pairs each; results are equal")
    print(f"{'':>16} {'table, s':>9} {'ratio':>7} {'counting, s':>12} {'ratio':>7}")
    best = seconds["one pass"]
    for name, own in seconds.items():
        ratios = own["table"] / best["table"], own["counting"] / best["counting"]
        print(f"{name:>16} {own['table']:9.1f} {ratios[0]:6.1f}x {own['counting']:12.2f} {ratios[1]:6.1f}x")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
