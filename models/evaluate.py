"""Score a trained model on a split.

    runs/<model>/metrics.json     overall, trivial rules beside it, consistency; for `dvc metrics`
    runs/<model>/scores.csv       by period or by interval; for `dvc plots`
    runs/<model>/sites.csv        by site
    runs/<model>/curve.csv        precision and recall by threshold
    runs/<model>/counts.parquet   pixel counts by site, dates and side of the AOI: what all scores are of
    runs/<model>/examples.npz     a few predictions for the report
    runs/<model>/timing.json      how fast, on what

Scope of every score: all known pixels of all tiles of the split, whole tiles, one threshold, counts
summed before dividing. Average precision is that of probabilities in 1024 steps.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import baselines, bootstrap, data, tally
from models.base import Model
from models.batches import change_of
from models.checkpoint import environment, load_run, run_folder
from models.errors import InputError
from models.files import replacing, write_json
from models.histogram import Histogram
from models.masks import UNKNOWN
from models.metrics import consistency_counts, lca_gca, scores
from models.predict import mask_logits, pair_logits
from models.progress import progress
from models.stacks import Stack, Stacks, places_of
from models.tally import Key, Tally

log = logging.getLogger(__name__)
EXAMPLES = 6
COUNTS = ["tp", "fp", "fn", "tn"]


def evaluate(
    benchmark_dir: Path,
    model: str,
    split: str = "test",
    fold: str | None = None,
    threshold: float | str = 0.5,
) -> dict[str, Any]:
    """Evaluate a run's model.pt on a split, of the fold it was trained on; writes the files above beside
    it and returns the metrics.

    `threshold` is a probability, or "validation" for the one of highest F1 on the validation split.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = run_folder(benchmark_dir, model, fold)
    network, scale, saved = load_run(benchmark_dir, model, fold, device)

    def opened(split: str) -> Stacks:
        return Stacks(benchmark_dir, network, split, scale, device, fold)

    score = Change if saved["task"] == "change" else Segmentation
    chosen = _threshold(threshold, lambda: score(benchmark_dir, network, opened("val"), 0.5).run().histogram)
    scored = score(benchmark_dir, network, opened(split), chosen).run()
    head = {"model": model, "task": saved["task"], "split": split, "fold": fold or "", "threshold": chosen}
    result = {**head, **scored.result()}
    _write(run, result, scored)
    return result


def _threshold(given: float | str, histogram: Callable[[], Histogram]) -> float:
    if given == "validation":
        return histogram().best()[0]
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not 0 < found < 1:
        raise InputError(f"The threshold is '{given}'; give a probability between 0 and 1, or validation.")
    return found


def _write(run: Path, result: dict[str, Any], scored: "Change | Segmentation") -> None:
    tables = {
        "scores": scored.by_time(),
        "sites": scored.by_site(),
        "curve": pd.DataFrame(scored.histogram.curve()),
    }
    with replacing(run / "examples.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **dict(sorted(scored.examples.items())))
    for name, table in tables.items():
        with replacing(run / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")
    with replacing(run / "counts.parquet") as temporary:
        scored.counts.to_parquet(temporary, index=False)
    seconds, done = scored.seconds, scored.done
    timing = {scored.unit: done / seconds if seconds else None, "threads": torch.get_num_threads()}
    write_json({**timing, "device": environment()["device"]}, run / "timing.json")
    write_json(result, run / "metrics.json")


class Change:
    """A change model over all pairs of a split."""

    unit = "pairs_per_second"

    def __init__(self, benchmark_dir: Path, network: Model, stacks: Stacks, threshold: float) -> None:
        self.network, self.stacks, self.cut = network, stacks, math.log(threshold / (1 - threshold))
        self.pairs, self.rows = pairs_of_tiles(benchmark_dir, stacks)
        self.tally = Tally(keys_of(self.pairs), stacks.device)
        self.histogram = Histogram()
        self.examples: dict[str, NDArray[Any]] = {}
        self.shown = _most_changed(self.pairs)
        self.seconds, self.done = 0.0, 0
        self.counts = pd.DataFrame()

    def run(self) -> "Change":
        with progress("evaluate", len(self.pairs), "pairs") as advance:
            for stack in self.stacks:
                if (rows := self.rows.get(stack.tile.tile_id)) is not None:
                    self._add(stack, rows)
                    advance(len(rows))
        self.counts = self.tally.table()
        return self

    def _add(self, stack: Stack, rows: pd.DataFrame) -> None:
        pairs = places_of(stack, rows)
        begun = time.perf_counter()
        logits = pair_logits(self.network, stack.images, pairs, stack.around)
        _wait(logits)
        self.seconds, self.done = self.seconds + time.perf_counter() - begun, self.done + len(pairs)
        label = self.stacks.labels(stack, rows, pairs)
        predicted = logits > self.cut
        self.histogram.add(torch.sigmoid(logits), label)
        self.tally.add(_keys(rows), predicted, label, stack.aoi)
        self.tally.add_edges(predicted, label)
        for row, change in zip(rows.itertuples(), predicted, strict=True):
            if (name := (row.tile_id, row.t1, row.t2)) in self.shown:
                self.examples["|".join(name)] = _packed(change)

    def result(self) -> dict[str, Any]:
        found = overall(self.counts)
        return {
            **found,
            "ap": self.histogram.average_precision(),
            "boundary_f1": self.tally.boundary_f1(),
            "trivial": {"all_background": baselines.all_background(tally.total(self.counts))},
        }

    def by_time(self) -> pd.DataFrame:
        """Scores by interval."""
        intervals = self.pairs.drop_duplicates(["t1", "t2"])[["t1", "t2", "interval"]]
        return _scored(self.counts.merge(intervals, on=["t1", "t2"]), "interval")

    def by_site(self) -> pd.DataFrame:
        return _scored(self.counts, "site_id")


class Segmentation:
    """A footprint model over all dates of a split, and what change its masks of two dates make."""

    unit = "images_per_second"

    def __init__(self, benchmark_dir: Path, network: Model, stacks: Stacks, threshold: float) -> None:
        self.network, self.stacks, self.cut = network, stacks, math.log(threshold / (1 - threshold))
        periods = {(t.site_id, p, p): None for t in stacks.tiles for p in stacks.cubes.periods(t.site_id)}
        self.tally = Tally(list(periods), stacks.device)
        pairs, self.rows = pairs_of_tiles(benchmark_dir, stacks, needed=False)
        self.change = Tally(keys_of(pairs), stacks.device)
        self.total_dates = sum(len(stacks.cubes.periods(tile.site_id)) for tile in stacks.tiles)
        self.histogram = Histogram()
        self.index = _IndexRule(stacks) if {"B04", "B08"} <= set(stacks.bands) else None
        self.consistency: dict[str, Any] = {}
        self.flickers = torch.zeros(2, 2, dtype=torch.int64, device=stacks.device)
        self.examples: dict[str, NDArray[Any]] = {}
        self.seconds, self.done = 0.0, 0
        self.counts = pd.DataFrame()

    def run(self) -> "Segmentation":
        with progress("evaluate", self.total_dates, "images") as advance:
            for stack in self.stacks:
                self._add(stack)
                advance(len(stack.periods))
        self.counts = self.tally.table()
        return self

    def _add(self, stack: Stack) -> None:
        begun = time.perf_counter()
        logits = mask_logits(self.network, stack.images)
        _wait(logits)
        self.seconds, self.done = self.seconds + time.perf_counter() - begun, self.done + len(stack.periods)
        predicted, masks, site = logits > self.cut, stack.masks, stack.tile.site_id
        self.histogram.add(torch.sigmoid(logits), masks)
        self.tally.add([(site, p, p) for p in stack.periods], predicted, masks, stack.aoi)
        self.tally.add_edges(predicted, masks)
        if (rows := self.rows.get(stack.tile.tile_id)) is not None:
            pairs = places_of(stack, rows)
            change = change_of(predicted[None].to(torch.uint8), pairs)[0] == 1
            self.change.add(_keys(rows), change, self.stacks.labels(stack, rows, pairs), stack.aoi)
        if self.index:
            self.index.add(stack)
        self._add_consistency(site, predicted, masks)
        if len(self.examples) < EXAMPLES and bool((masks == 1).any()):
            self.examples[stack.tile.tile_id] = _packed(predicted)

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
        trivial: dict[str, Any] = {"all_background": baselines.all_background(tally.total(self.counts))}
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
            "post_classification": overall(self.change.table()) if self.rows else {},
            "trivial": trivial,
        }

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
        return _scored(self.counts.rename(columns={"t1": "period"}), "period")

    def by_site(self) -> pd.DataFrame:
        return _scored(self.counts, "site_id")


class _IndexRule:
    """NDVI below a threshold, where the benchmark has red and near infrared."""

    def __init__(self, stacks: Stacks) -> None:
        self.red, self.nir = stacks.bands.index("B04"), stacks.bands.index("B08")
        self.standardise = stacks.standardise
        self.histogram = Histogram(highest=2.0)

    def add(self, stack: Stack) -> None:
        pixels = stack.images * self.standardise.std + self.standardise.mean
        self.histogram.add(baselines.bareness(pixels, self.red, self.nir), stack.masks)


def overall(counts: pd.DataFrame) -> dict[str, Any]:
    """Scores of counts by site: pooled, as means over the sites, and within the AOI alone.

    `of1` is EuroMineNet's: the mean of the sites' F1 weighed by their pixels; `of1_plain` weighs all
    sites alike. The interval is that of the pooled F1 by bootstrap over sites.
    """
    inside = counts[counts.aoi]
    sites = counts.groupby("site_id")[COUNTS].sum().to_numpy(np.int64)
    return {
        **scores(tally.total(counts)),
        "of1": tally.mean_over_sites(counts, "f1", weighted=True),
        "of1_plain": tally.mean_over_sites(counts, "f1", weighted=False),
        "f1_interval": list(bootstrap.interval(sites)),
        "aoi": scores(tally.total(inside)),
        "pixels": vars(tally.total(counts)),
    }


def pairs_of_tiles(
    benchmark_dir: Path, stacks: Stacks, needed: bool = True
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The pairs of the split with their sites, and those of each tile. InputError where there is none."""
    sites = {tile.tile_id: tile.site_id for tile in stacks.tiles}
    pairs = data.read_table(benchmark_dir, "pairs")
    pairs = pairs[pairs.tile_id.isin(sites)]
    pairs = pairs.assign(site_id=pairs.tile_id.map(sites))
    if pairs.empty and needed:
        raise InputError("The split has no pairs to evaluate.")
    return pairs, {str(name): rows for name, rows in pairs.groupby("tile_id")}


def keys_of(pairs: pd.DataFrame) -> list[Key]:
    """Site and dates of the pairs, each once."""
    return _keys(pairs.drop_duplicates(["site_id", "t1", "t2"]))


def _keys(rows: pd.DataFrame) -> list[Key]:
    return list(zip(rows.site_id, rows.t1, rows.t2, strict=True))


def _scored(counts: pd.DataFrame, column: str) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for value, found in tally.by(counts, column).items():
        rows.append({column: value, **scores(found), **vars(found)})
    return pd.DataFrame(rows)


def _most_changed(pairs: pd.DataFrame) -> set[tuple[str, str, str]]:
    """The pairs with most change, one a tile."""
    best = pairs.sort_values(["changed", "tile_id"], ascending=[False, True]).drop_duplicates("tile_id")
    return {(row.tile_id, row.t1, row.t2) for row in best.head(EXAMPLES).itertuples()}


def _packed(masks: Tensor) -> NDArray[np.uint8]:
    return np.packbits(masks.cpu().numpy(), axis=-1)


def _wait(result: Tensor) -> None:
    """Until the device is done, so that a clock reads what it took."""
    if result.device.type == "cuda":
        torch.cuda.synchronize(result.device)
