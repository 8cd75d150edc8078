"""Footprints, as predicted, over all dates of a split, and what change the masks of two dates make."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from minebench import periods
from minebench.masks import UNKNOWN
from minebench.metrics.confusion import consistency_counts, lca_gca, scores
from minebench.metrics.histogram import Histogram
from minebench.progress import progress
from models.evaluation import baselines, examples, processes, tally
from models.evaluation.examples import Example
from models.evaluation.inference import Predicts, wait
from models.evaluation.scores import by_column, by_interval, overall, total
from models.evaluation.stacks import Stack, Stacks, keys, keys_of, pairs_of_tiles, places_of
from models.evaluation.tally import Tally
from models.training.batches import change_of


class Segmentation:
    """Footprints over all dates of a split, and what change the masks of two dates make."""

    unit = "images_per_second"

    def __init__(self, benchmark_dir: Path, predicts: Predicts, stacks: Stacks, threshold: float) -> None:
        self.predicts, self.stacks, self.cut = predicts, stacks, math.log(threshold / (1 - threshold))
        periods = {(t.site_id, p, p): None for t in stacks.tiles for p in stacks.cubes.periods(t.site_id)}
        self.tally = Tally(list(periods), stacks.device)
        pairs, self.rows = pairs_of_tiles(benchmark_dir, stacks, needed=False)
        self.change = Tally(keys_of(pairs), stacks.device)
        self.total_dates = sum(len(stacks.cubes.periods(tile.site_id)) for tile in stacks.own)
        self.histogram = Histogram()
        self.index = _IndexRule(stacks) if {"B04", "B08"} <= set(stacks.bands) else None
        self.consistency: dict[str, Any] = {}
        self.flickers = torch.zeros(2, 2, dtype=torch.int64, device=stacks.device)
        self.examples: dict[str, Example] = {}
        self.seconds, self.done = 0.0, 0
        self.counts = pd.DataFrame()

    def run(self) -> "Segmentation":
        with progress("evaluate", self.total_dates, "images") as advance:
            for stack in self.stacks:
                self._add(stack)
                advance(len(stack.periods))
        self._join()
        self.counts = self.tally.table()
        return self

    def _join(self) -> None:
        """Take in what other processes counted, in the order in which one alone would have."""
        histograms = [self.histogram, *([self.index.histogram] if self.index else [])]
        held = [histogram.summed_into(self.stacks.device) for histogram in histograms]
        processes.add_up(
            self.tally.held, self.tally.edges, self.change.held, self.change.edges, self.flickers, *held
        )
        parts = processes.gathered(self.consistency)
        sites = dict.fromkeys(tile.site_id for tile in self.stacks.tiles)
        counted = {site: [part[site] for part in parts if site in part] for site in sites}
        self.consistency = {
            site: tuple(sum(numbers) for numbers in zip(*found, strict=True))
            for site, found in counted.items()
            if found
        }
        self.examples = examples.joined(processes.gathered(self.examples))

    def _add(self, stack: Stack) -> None:
        begun = time.perf_counter()
        logits = self.predicts.masks(stack)
        wait(logits)
        self.seconds, self.done = self.seconds + time.perf_counter() - begun, self.done + len(stack.periods)
        predicted, masks, site = logits > self.cut, stack.masks, stack.tile.site_id
        missing = logits.isnan()
        masks[missing] = UNKNOWN
        self.histogram.add(torch.sigmoid(logits), masks)
        self.tally.add([(site, p, p) for p in stack.periods], predicted, masks, stack.aoi)
        self.tally.add_edges(predicted, masks)
        if (rows := self.rows.get(stack.tile.tile_id)) is not None:
            pairs = places_of(stack, rows)
            change = change_of(predicted[None].to(torch.uint8), pairs)[0] == 1
            label = self.stacks.labels(stack, rows, pairs)
            label[torch.stack([missing[i] | missing[j] for i, j in pairs])] = UNKNOWN
            self.change.add(keys(rows), change, label, stack.aoi)
        if self.index:
            self.index.add(stack)
        self._add_consistency(site, predicted, masks)
        self._keep(stack, predicted, int((masks == 1).sum()))

    def _keep(self, stack: Stack, predicted: Tensor, mine: int) -> None:
        """The tile with most mine of each site."""
        site = stack.tile.site_id
        had = self.examples.get(site)
        if had is None or mine >= had.weight:
            shown = Example(stack.tile.tile_id, mine, examples.packed(predicted))
            self.examples[site] = examples.better(had, shown)

    def _add_consistency(self, site: str, predicted: Tensor, masks: Tensor) -> None:
        known = masks != UNKNOWN
        self.flickers += torch.stack([tally.flicker(each, known) for each in (predicted, masks == 1)])
        # Consistency needs the truth on all dates: pixels unknown on any are left out.
        always = known.all(dim=0)
        own, drawn = (each[:, always].cpu().numpy() for each in (predicted, masks == 1))
        shared, union = consistency_counts(own, drawn)
        before = self.consistency.get(site, (0, 0, 0))
        self.consistency[site] = (before[0] + shared, before[1] + union, before[2] + own.shape[1])

    def result(self) -> dict[str, Any]:
        lca, gca = self._lca_gca()
        (own, counted), (drawn, _) = self.flickers.cpu().tolist()
        trivial: dict[str, Any] = {"all_background": baselines.all_background(total(self.counts))}
        if self.index:
            threshold, best = self.index.histogram.best()
            trivial["ndvi"] = {"threshold": 1 - threshold, **scores(best)}
        return {
            **overall(self.counts),
            "ap": self.histogram.average_precision(),
            "lca": lca,
            "gca": gca,
            "boundary_f1": self.tally.boundary_f1(),
            "flicker": {
                "predicted": own / counted if counted else math.nan,
                "true": drawn / counted if counted else math.nan,
            },
            "post_classification": self._post_classification(),
            "trivial": trivial,
        }

    def _post_classification(self) -> dict[str, Any]:
        """Scores of the change between masks of two dates; `shortest` are those of dates that are as near to
        one another as they come (a year, in a series of years)."""
        if not self.rows:
            return {}
        counts = self.change.table()
        gaps = [periods.interval(t1, t2) for t1, t2 in zip(counts.t1, counts.t2, strict=True)]
        near = counts[np.array(gaps) == min(gaps)]
        return {**overall(counts), "shortest": scores(total(near))}

    def _lca_gca(self) -> tuple[float, float]:
        """LCA and GCA of each site, averaged with the sites' pixels as weights; NaN sites left out."""
        found = [(*lca_gca(shared, union), n) for shared, union, n in self.consistency.values() if n]
        known = [(lca, gca, n) for lca, gca, n in found if not np.isnan(gca) and not np.isnan(lca)]
        if not known:
            return float("nan"), float("nan")
        lca, gca, weight = np.array(known).T
        return float(np.average(lca, weights=weight)), float(np.average(gca, weights=weight))

    def by_time(self) -> pd.DataFrame:
        """Scores by period."""
        return by_column(self.counts.rename(columns={"t1": "period"}), "period")

    def by_interval(self) -> pd.DataFrame:
        """Scores of the change between masks of two dates by interval; no rows where no pair is scored."""
        return by_interval(self.change.table())

    def by_site(self) -> pd.DataFrame:
        return by_column(self.counts, "site_id")


class _IndexRule:
    """NDVI below a threshold, where the benchmark has red and near infrared."""

    def __init__(self, stacks: Stacks) -> None:
        self.red, self.nir = stacks.bands.index("B04"), stacks.bands.index("B08")
        self.standardise = stacks.standardise
        self.histogram = Histogram(highest=2.0)

    def add(self, stack: Stack) -> None:
        pixels = stack.images * self.standardise.std + self.standardise.mean
        self.histogram.add(baselines.bareness(pixels, self.red, self.nir), stack.masks)
