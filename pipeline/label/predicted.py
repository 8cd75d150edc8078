"""What trained models say of the images to be labelled: outlines to begin with, and where to look next.

Models are applied by `minebench predict --model RUN --split all` (`pipeline.inference.predict`).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from minebench.errors import InputError, NotMadeYet
from minebench.layout import BenchmarkPaths
from pipeline.geo import gdal

NODATA = 255
HALF = 50


@dataclass(frozen=True)
class Rank:
    """A date of a site, and how much there is to learn from its label, from 0 to 1: how unsure the models
    are of its pixels on average, and the share on which they do not agree."""

    site_id: str
    subject: str
    unsure: float
    differ: float

    @property
    def worth(self) -> float:
        return self.unsure + self.differ


def check(benchmark: BenchmarkPaths, runs: list[str]) -> None:
    """InputError or NotMadeYet where a run is unknown or was not applied."""
    for run in runs:
        if "/" in run or not (benchmark.predictions / run).is_dir():
            known = sorted(p.name for p in benchmark.data.glob("runs/*") if (p / "model.pt").is_file())
            if run not in known:
                raise InputError(f"There is no trained run '{run}'; runs: {', '.join(known) or 'none'}.")
            raise NotMadeYet(
                f"{run} was not applied: run `minebench predict --model {run} --split all` first."
            )


def percent(benchmark: BenchmarkPaths, run: str, site_id: str, subject: str) -> NDArray[np.uint8]:
    """A run's probability (y, x) in per cent, 255 where nothing was observed. NotMadeYet where it was not
    applied to that date."""
    path = _file(benchmark, run, site_id, subject)
    if not path.is_file():
        raise NotMadeYet(
            f"{run} says nothing of {site_id} in {subject.replace('|', ' to ')}: run "
            f"`minebench predict --model {run} --split all`."
        )
    return _read(path)


def _file(benchmark: BenchmarkPaths, run: str, site_id: str, subject: str) -> Path:
    if run != Path(run).name or run.startswith("."):
        raise InputError(f"'{run}' is not the name of a run.")
    return benchmark.predictions / run / site_id / f"{subject.replace('|', '_')}.tif"


def _read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path, driver=gdal.driver_of(path)) as file:
        return np.asarray(file.read(1), np.uint8)


def ranked(benchmark: BenchmarkPaths, runs: list[str], open_: list[tuple[str, str]]) -> list[Rank]:
    """Dates (site, subject) that are not labelled yet, those first from which there is most to learn;
    dates that no run was applied to come last, in their order."""
    found = [_rank(benchmark, runs, *place) for place in open_]
    return sorted(found, key=lambda rank: -rank.worth)


def _rank(benchmark: BenchmarkPaths, runs: list[str], site_id: str, subject: str) -> Rank:
    files = (_file(benchmark, run, site_id, subject) for run in runs)
    there = [path for path in files if path.is_file()]
    stamps = tuple((str(path), path.stat().st_mtime_ns) for path in there)
    unsure, differ = _judged(stamps) if stamps else (-1.0, 0.0)
    return Rank(site_id, subject, unsure, differ)


@lru_cache(maxsize=2**16)
def _judged(files: tuple[tuple[str, int], ...]) -> tuple[float, float]:
    """How unsure the runs are, and how much they differ."""
    every = np.stack([_read(Path(path)) for path, _ in files])
    seen = (every != NODATA).all(axis=0)
    if not seen.any():
        return 0.0, 0.0
    share = every[:, seen] / 100
    unsure = float((4 * share * (1 - share)).mean())
    says = every[:, seen] >= HALF
    return unsure, float((says.any(axis=0) & ~says.all(axis=0)).mean())
