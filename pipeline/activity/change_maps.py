"""A site's change maps by source: the labels, every run applied to whole sites, and their median.

A run that finds footprints gives change by comparing two dates, |p2 - p1| (post-classification). The
median of several runs is that of their decisions, the pixel-wise majority: changed where more than half say
so. It is ours: OMS2CD (Dibble 2023) takes the median of the models' areas in an interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from minebench.cube.labels import Labels
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from pipeline.geo import gdal

TRUTH, MEDIAN = "labels", "median"
NODATA = 255
"""Of a prediction's per cent."""
MAJORITY = 0.75
"""Of decisions 0 and 1, whose median is 0.5 where as many say yes as no."""
Pair = tuple[str, str]


@dataclass(frozen=True)
class ChangeMaps:
    """Maps (P, H, W) of the pairs in order of time: `change` in 0..1, and where it is `known`. What is at
    least `threshold` has changed."""

    source: str
    pairs: list[Pair]
    change: NDArray[np.float32]
    known: NDArray[np.bool_]
    threshold: float

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(P, H, W)."""
        return (self.change >= self.threshold) & self.known


def runs_of(benchmark: BenchmarkPaths) -> list[str]:
    """The runs that were applied to whole sites (`minebench predict`)."""
    return sorted(path.parent.name for path in benchmark.predictions.glob("*/collection.json"))


def pairs_of(labels: Labels) -> list[Pair]:
    """The pairs that follow on one another: of all periods, or those that were drawn."""
    following = list(pairwise(labels.periods))
    if labels.change is None:
        return following
    return [pair for pair in following if pair in labels.drawn] or sorted(labels.drawn)


def of_site(
    benchmark: BenchmarkPaths, site_id: str, labels: Labels, thresholds: Mapping[str, float]
) -> Iterator[ChangeMaps]:
    """Every source that knows anything of a site; a run's threshold by its name."""
    pairs = pairs_of(labels)
    if not pairs:
        return
    if (truth := of_labels(labels, pairs)).known.any():
        yield truth
    found = []
    for run, threshold in thresholds.items():
        maps = of_run(benchmark.predictions / run / site_id, run, pairs, threshold)
        if maps is not None:
            found.append(maps)
            yield maps
    if len(found) > 1:
        yield median(found)


def of_labels(labels: Labels, pairs: list[Pair]) -> ChangeMaps:
    """The labels as maps of 0 and 1."""
    drawn = np.stack([labels.label(*pair) for pair in pairs])
    return ChangeMaps(TRUTH, pairs, (drawn == 1).astype(np.float32), drawn != UNKNOWN, 0.5)


def of_run(folder: Path, run: str, pairs: Sequence[Pair], threshold: float) -> ChangeMaps | None:
    """A run's maps of a site; None where it was not applied to all of the pairs."""
    of_pairs = [folder / f"{a}_{b}.tif" for a, b in pairs]
    if all(path.is_file() for path in of_pairs):
        percent = [_percent(path) for path in of_pairs]
        change = np.stack([probability for probability, _ in percent])
        return ChangeMaps(run, list(pairs), change, np.stack([known for _, known in percent]), threshold)
    periods = sorted({period for pair in pairs for period in pair})
    if not all((folder / f"{period}.tif").is_file() for period in periods):
        return None
    dated = {period: _percent(folder / f"{period}.tif") for period in periods}
    change = np.stack([np.abs(dated[b][0] - dated[a][0]) for a, b in pairs])
    known = np.stack([dated[a][1] & dated[b][1] for a, b in pairs])
    return ChangeMaps(run, list(pairs), change, known, threshold)


def median(found: Sequence[ChangeMaps]) -> ChangeMaps:
    """The median of several sources' decisions, known where all are."""
    decisions = np.median(np.stack([maps.changed for maps in found]), axis=0).astype(np.float32)
    known = np.logical_and.reduce([maps.known for maps in found])
    return ChangeMaps(MEDIAN, found[0].pairs, decisions, known, MAJORITY)


def _percent(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A prediction (H, W) in 0..1, and where there is one."""
    with rasterio.open(path, driver=gdal.driver_of(path)) as file:
        percent = file.read(1)
    known = percent != NODATA
    return np.where(known, percent, 0).astype(np.float32) / np.float32(100), known
