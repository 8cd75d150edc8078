"""Change, as it was predicted, over all pairs of a split."""

import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from minebench import tables
from minebench.masks import UNKNOWN
from minebench.metrics.histogram import Histogram
from minebench.progress import progress
from models.evaluation import baselines, examples, processes
from models.evaluation.examples import Example
from models.evaluation.inference import Predicts, wait
from models.evaluation.scores import by_column, by_interval, overall, total
from models.evaluation.stacks import Stack, Stacks, keys, keys_of, pairs_of_tiles, places_of
from models.evaluation.tally import Tally


class Change:
    """Change over all pairs of a split."""

    unit = "pairs_per_second"

    def __init__(self, benchmark_dir: Path, predicts: Predicts, stacks: Stacks, threshold: float) -> None:
        self.predicts, self.stacks, self.cut = predicts, stacks, math.log(threshold / (1 - threshold))
        self.pairs, self.rows = pairs_of_tiles(benchmark_dir, stacks)
        self.tally = Tally(keys_of(self.pairs), stacks.device)
        self.histogram = Histogram()
        self.examples: dict[str, Example] = {}
        self.shown = _most_changed(self.pairs)
        self.seconds, self.done = 0.0, 0
        self.counts = pd.DataFrame()

    def run(self) -> "Change":
        own = sum(len(self.rows.get(tile.tile_id, ())) for tile in self.stacks.own)
        with progress("evaluate", own, "pairs") as advance:
            for stack in self.stacks:
                if (rows := self.rows.get(stack.tile.tile_id)) is not None:
                    self._add(stack, rows)
                    advance(len(rows))
        processes.add_up(self.tally.held, self.tally.edges, self.histogram.summed_into(self.stacks.device))
        self.examples = examples.joined(processes.gathered(self.examples))
        self.counts = self.tally.table()
        return self

    def _add(self, stack: Stack, rows: pd.DataFrame) -> None:
        pairs = places_of(stack, rows)
        begun = time.perf_counter()
        logits = self.predicts.pairs(stack, pairs)
        wait(logits)
        self.seconds, self.done = self.seconds + time.perf_counter() - begun, self.done + len(pairs)
        label = self.stacks.labels(stack, rows, pairs)
        label[logits.isnan()] = UNKNOWN
        predicted = logits > self.cut
        self.histogram.add(torch.sigmoid(logits), label)
        self.tally.add(keys(rows), predicted, label, stack.aoi)
        self.tally.add_edges(predicted, label)
        for row, change in zip(tables.each(rows), predicted, strict=True):
            if (name := (row.tile_id, row.t1, row.t2)) in self.shown:
                shown = Example("|".join(name), int(row.changed), examples.packed(change))
                self.examples[stack.tile.site_id] = shown

    def result(self) -> dict[str, Any]:
        found = overall(self.counts)
        return {
            **found,
            "ap": self.histogram.average_precision(),
            "boundary_f1": self.tally.boundary_f1(),
            "trivial": {"all_background": baselines.all_background(total(self.counts))},
        }

    def by_time(self) -> pd.DataFrame:
        """Scores by interval."""
        intervals = self.pairs.drop_duplicates(["t1", "t2"])[["t1", "t2", "interval"]]
        return by_column(self.counts.merge(intervals, on=["t1", "t2"]), "interval")

    def by_interval(self) -> pd.DataFrame:
        """Scores by interval, with the means over sites."""
        return by_interval(self.counts)

    def by_site(self) -> pd.DataFrame:
        return by_column(self.counts, "site_id")


def _most_changed(pairs: pd.DataFrame) -> set[tuple[str, str, str]]:
    """The pair with most change of each site."""
    order = pairs.sort_values(["changed", "tile_id", "t1", "t2"], ascending=[False, True, True, True])
    best = order.drop_duplicates("site_id")
    return set(zip(best.tile_id, best.t1, best.t2, strict=True))
