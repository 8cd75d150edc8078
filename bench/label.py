"""How many clicks a footprint takes, and how fast the studio answers.

    python bench/label.py [--project .] [--benchmark demo] [--real ../shared/data]

An annotator who knows the truth clicks, each time, the region that helps most (in or out), until the
label's IoU with the truth is .9, then .95: on a site's first date, and on each further date after the label
was carried there. Against it the fewest vertices of an outline of the same IoU (Douglas-Peucker). Then times
and memory at 1,000 x 1,000 pixels of ten bands. The demo's images are synthetic. With the folder of real data
there are real images as well, into which real footprints of mines are painted (bench/painted_mines.py).
"""

import argparse
import resource
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import painted_mines
import shapely
from rasterio.features import rasterize, shapes

from minebench.cube import shards
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.cubes import cube
from pipeline.label import carry, regions

GOALS, MOST = (0.9, 0.95), 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--benchmark", default="demo")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    count(f"{asked.benchmark} (synthetic)", cubes(BenchmarkPaths(asked.benchmark, asked.project)))
    for images in painted_mines.IMAGES:
        if (asked.real / images).is_dir():
            count(
                f"real {images} images, real footprints painted in", painted_mines.sites(asked.real, images)
            )
        else:
            print(f"\n{asked.real / images} is not here: left out")
    speed()


def cubes(benchmark: BenchmarkPaths) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    loaded = recipe.load(benchmark.recipe)
    for path in sorted((benchmark.data / "cubes").glob("*.zarr")):
        yield shards.read(path / cube.image_name(loaded)), shards.read(path / "mine") == 1


def count(name: str, sites: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """A table of clicks over sites: images (date, band, y, x) and truth (date, y, x)."""
    found = {goal: ([], [], [], []) for goal in GOALS}
    for images, truth in sites:
        for goal in GOALS:
            site(images, truth, goal, found[goal])
    firsts, further = len(found[GOALS[0]][0]), len(found[GOALS[0]][1])
    print(f"\n{name}: {firsts} first dates, {further} further ones")
    print(
        f"{'clicks to an IoU of':20}{'first (median)':>16}{'next alone (mean)':>19}"
        f"{'carried (mean)':>16}{'vertices (median)':>19}"
    )
    for goal, (first, alone, carried, vertices) in found.items():
        print(
            f"{goal:<20}{statistics.median(first):>16.1f}{statistics.mean(alone):>19.1f}"
            f"{statistics.mean(carried):>16.1f}{statistics.median(vertices):>19.0f}",
            flush=True,
        )


def site(images, truth, goal, rows) -> None:  # type: ignore[no-untyped-def]
    first, alone, carried, vertices = rows
    label = np.zeros(truth.shape[1:], bool)
    for date in range(len(images)):
        if not truth[date].any():
            continue
        own = regions.build(images[date])
        clicks, made = clicked(own, truth[date], np.zeros_like(label), goal)
        vertices.append(fewest_vertices(truth[date], goal))
        if not label.any():
            first.append(clicks)
            label = made
            continue
        alone.append(clicks)
        both = regions.build(np.concatenate([images[date - 1], images[date]]))
        start, open_ = carry.carried(label, carry.proposals(images[date - 1], label, images[date], both))
        clicks, label = clicked(own, truth[date], start, goal, both, open_)
        carried.append(clicks)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def clicked(own, truth, label, goal, both=None, open_=()):  # type: ignore[no-untyped-def]
    """Clicks until `goal`, each the region (of the image, or of both) or proposal that helps most."""
    label, clicks = label.copy(), 0
    while iou(label, truth) < goal and clicks < MOST:
        best = max(
            (best_region(tree, truth, label) for tree in (own, both) if tree is not None),
            key=lambda found: found[0],
        )
        for proposal in open_:
            changed = label.copy()
            changed.ravel()[proposal.pixels] = proposal.joins
            best = max(best, (iou(changed, truth), proposal.pixels, proposal.joins), key=lambda b: b[0])
        label.ravel()[best[1]] = best[2]
        clicks += 1
    return clicks, label


def best_region(tree, truth, label):  # type: ignore[no-untyped-def]
    """IoU after the best click, its pixels, and whether it adds them."""
    both, union = (truth & label).sum(), (truth | label).sum()
    hits, misses = tree.sums(truth & ~label), tree.sums(~truth & ~label)
    adding = (both + hits) / np.maximum(union + misses, 1)
    lost, mended = tree.sums(truth & label), tree.sums(~truth & label)
    removing = (both - lost) / np.maximum(union - mended, 1)
    a, r = int(adding.argmax()), int(removing.argmax())
    if adding[a] >= removing[r]:
        return float(adding[a]), tree.pixels(a), True
    return float(removing[r]), tree.pixels(r), False


def fewest_vertices(truth: np.ndarray, goal: float) -> int:
    """Vertices of the simplest outline (Douglas-Peucker) that still reaches the goal."""
    found = shapes(truth.astype(np.uint8), mask=truth)
    outline = shapely.MultiPolygon([shapely.geometry.shape(one) for one, _ in found])
    best = shapely.get_num_coordinates(outline)
    for tolerance in np.arange(0.5, 20, 0.5):
        simple = outline.simplify(tolerance)
        if simple.is_empty:
            break
        drawn = rasterize([simple], out_shape=truth.shape).astype(bool)
        if iou(drawn, truth) < goal:
            break
        best = shapely.get_num_coordinates(simple)
    return int(best)


def speed() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(10, 1000, 1000)), (0, 3, 3)) * 3000 + 3000
    image = image.clip(1, 9999).astype(np.uint16)
    begun = time.perf_counter()
    tree = regions.build(image)
    built = time.perf_counter() - begun
    footprint = np.zeros(tree.shape, bool)
    footprint[300:500, 300:600] = True
    later = np.roll(image, 100, axis=2)
    begun = time.perf_counter()
    both = regions.build(np.concatenate([image, later]))
    stacked = time.perf_counter() - begun
    begun = time.perf_counter()
    carry.carried(footprint, carry.proposals(image, footprint, later, both))
    carrying = time.perf_counter() - begun
    times = []
    for _ in range(200):
        row, column, area = *rng.integers(0, 1000, 2), float(np.exp(rng.uniform(3, 12)))
        begun = time.perf_counter()
        found = tree.at(row, column, area)
        regions.outline(tree.pixels(found), tree.shape)
        times.append(1000 * (time.perf_counter() - begun))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n1,000 x 1,000 x 10: regions {built:.1f} s, of two dates {stacked:.1f} s; a label carried in "
        f"{carrying:.1f} s; a preview {statistics.median(times):.0f} ms (median), "
        f"{max(times):.0f} ms (most); peak memory {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
