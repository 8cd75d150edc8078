"""Scores of overlapping tiles count each pixel of the ground once, or in each tile by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from minebench.data.datasets import Scale
from minebench.errors import InputError
from minebench.masks import UNKNOWN
from models.evaluation.evaluate import COUNT, check_count
from models.evaluation.score_change import Change
from models.evaluation.score_segmentation import Segmentation
from models.evaluation.stacks import Stack, Stacks


class Nothing:
    """Predicts no change and no mine."""

    def masks(self, stack: Stack) -> torch.Tensor:
        return torch.full(stack.masks.shape, -9.0)

    def pairs(self, stack: Stack, pairs: list[tuple[int, int]]) -> torch.Tensor:
        return torch.full((len(pairs), *stack.aoi.shape), -9.0)


def stacks(benchmark_dir: Path, count: str) -> Stacks:
    scale = Scale(np.zeros(5, np.float32), np.ones(5, np.float32))
    return Stacks(benchmark_dir, "test", scale, torch.device("cpu"), count=count)


def known(benchmark_dir: Path, task: str, once: bool) -> dict[tuple[str, str, str], int]:
    """Known pixels by site and dates, read from the cubes."""
    opened = stacks(benchmark_dir, "tiles")
    pairs = pd.read_parquet(benchmark_dir / "index/pairs.parquet")
    found: dict[tuple[str, str, str], int] = {}
    seen: dict[str, np.ndarray] = {}
    for tile in opened.tiles:
        cube = opened.cubes.cube(tile.site_id)
        before = seen.setdefault(tile.site_id, np.zeros(cube.aoi.shape, bool))
        own = ~before[tile.window] if once else np.ones((tile.height, tile.width), bool)
        before[tile.window] = True
        _, masks = opened.cubes.read(tile)
        if task == "segmentation":
            dates = [(period, period, mask) for period, mask in zip(cube.periods, masks, strict=True)]
        else:
            rows = pairs[pairs.tile_id == tile.tile_id]
            dates = [(r.t1, r.t2, opened.cubes.label(tile, r.t1, r.t2)) for r in rows.itertuples()]
        for t1, t2, truth in dates:
            count = int((truth[: tile.height, : tile.width] != UNKNOWN)[own].sum())
            found[tile.site_id, t1, t2] = found.get((tile.site_id, t1, t2), 0) + count
    return found


@pytest.mark.parametrize("task", ["segmentation", "change"])
def test_counts_are_those_of_the_ground(built: Path, task: str) -> None:
    folder = built / "data/tiny"
    scorer = {"segmentation": Segmentation, "change": Change}[task]
    totals = {}
    for count in COUNT:
        counts = scorer(folder, Nothing(), stacks(folder, count), 0.5).run().counts  # type: ignore[arg-type]
        sums = counts.groupby(["site_id", "t1", "t2"])[["tp", "fp", "fn", "tn"]].sum().sum(axis=1)
        assert sums.to_dict() == known(folder, task, once=count == "ground")
        totals[count] = sums.sum()
    # The tiles of the tiny benchmark overlap.
    assert totals["ground"] < totals["tiles"]


def test_other_ways_of_counting_are_refused() -> None:
    with pytest.raises(InputError, match="it is ground or tiles"):
        check_count("twice")
