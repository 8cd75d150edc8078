"""Score a trained model on the test split.

    runs/<model>/metrics.json     overall, trivial rules beside it, consistency; for `dvc metrics`
    runs/<model>/scores.csv       by period or by interval; for `dvc plots`
    runs/<model>/examples.npz     a few predictions for the report

Scope of every score: all known pixels of all tiles of the split, whole tiles, probability 0.5,
counts summed before dividing. A Siamese model encodes each date of a tile once and decodes all its
pairs from that.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import baselines, data, metrics
from models.baselines import BestThreshold
from models.data import Scale, Series
from models.errors import InputError
from models.files import replacing, write_json
from models.metrics import UNKNOWN, Confusion
from models.progress import progress
from models.train import load, run_folder

log = logging.getLogger(__name__)
EXAMPLES = 6
PAIRS_AT_ONCE = 32


def evaluate(benchmark_dir: Path, model: str, split: str = "test", fold: str | None = None) -> dict[str, Any]:
    """Evaluate a run's model.pt on a split, of the fold it was trained on; writes the files above beside it
    and returns the metrics."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = run_folder(benchmark_dir, model, fold)
    network, saved = load(run / "model.pt", device)
    scale = Scale(np.array(saved["mean"], np.float32), np.array(saved["std"], np.float32))
    series = data.open(benchmark_dir, "series", split, scale, fold=fold)
    assert isinstance(series, Series)
    if saved["task"] == "change":
        result, table, examples = _change(benchmark_dir, network, series, device)
    else:
        result, table, examples = _segmentation(network, series, device)
    result = {"model": model, "task": saved["task"], "split": split, "fold": fold or "", **result}
    with replacing(run / "examples.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **examples)
    with replacing(run / "scores.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")
    write_json(result, run / "metrics.json")
    return result


def _change(
    benchmark_dir: Path, network: nn.Module, series: Series, device: torch.device
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, NDArray[Any]]]:
    pairs = data.read_table(benchmark_dir, "pairs")
    pairs = pairs[pairs.tile_id.isin([tile.tile_id for tile in series.tiles])]
    by_tile = dict(tuple(pairs.groupby("tile_id")))
    tiles = {tile.tile_id: tile for tile in series.tiles}
    by_interval: dict[int, Confusion] = {}
    vectors = BestThreshold(highest=6.0)
    shown = _Examples(pairs)
    with progress("evaluate", len(series), "tiles") as advance:
        for item in _items(series):
            advance()
            rows = by_tile.get(item["tile_id"])
            if rows is None:
                continue
            index = {period: i for i, period in enumerate(item["periods"])}
            wanted = [(index[row.t1], index[row.t2]) for row in rows.itertuples()]
            images, tile = item["images"], tiles[item["tile_id"]]
            predicted = predict_pairs(network, images, wanted, device)
            pixels = images.numpy()
            for row, (i, j), change in zip(rows.itertuples(), wanted, predicted, strict=True):
                label = series.cubes.label(tile, row.t1, row.t2)
                counts = metrics.confusion(change, label)
                by_interval[row.interval] = by_interval.get(row.interval, Confusion()) + counts
                vectors.add(baselines.change_vector(pixels[i], pixels[j]), label)
                shown.offer(row.tile_id, row.t1, row.t2, change)
    total = sum(by_interval.values(), Confusion())
    threshold, best = vectors.best()
    result = {
        **metrics.scores(total),
        "trivial": {
            "all_background": baselines.all_background(total),
            "change_vector": {"threshold": threshold, **metrics.scores(best)},
        },
        "pixels": vars(total),
    }
    rows = [{"interval": k, **metrics.scores(c), **vars(c)} for k, c in sorted(by_interval.items())]
    return result, pd.DataFrame(rows), shown.arrays()


def _segmentation(
    network: nn.Module, series: Series, device: torch.device
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, NDArray[Any]]]:
    by_period: dict[str, Confusion] = {}
    by_site: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = {}
    index = _index_rule(series)
    examples: dict[str, NDArray[Any]] = {}
    with progress("evaluate", len(series), "tiles") as advance:
        for tile, item in zip(series.tiles, _items(series), strict=True):
            advance()
            masks = item["masks"].numpy()
            predicted = predict_masks(network, item["images"], device)
            for period, mask, footprint in zip(item["periods"], masks, predicted, strict=True):
                counts = metrics.confusion(footprint, mask)
                by_period[period] = by_period.get(period, Confusion()) + counts
            if index:
                index.add(series, item["images"], masks)
            # Consistency needs the truth on all dates: pixels unknown on any are left out.
            known = (masks != UNKNOWN).all(axis=0)
            by_site.setdefault(tile.site_id, []).append((predicted[:, known], masks[:, known] == 1))
            if len(examples) < EXAMPLES and (masks == 1).any():
                examples[item["tile_id"]] = np.packbits(predicted, axis=-1)
    total = sum(by_period.values(), Confusion())
    lca, gca = _consistency(by_site)
    trivial: dict[str, Any] = {"all_background": baselines.all_background(total)}
    if index:
        threshold, best = index.best.best()
        trivial["ndvi"] = {"threshold": 1 - threshold, **metrics.scores(best)}
    result = {
        **metrics.scores(total),
        "lca": lca,
        "gca": gca,
        "trivial": trivial,
        "pixels": vars(total),
    }
    rows = [{"period": k, **metrics.scores(c), **vars(c)} for k, c in sorted(by_period.items())]
    return result, pd.DataFrame(rows), examples


def _items(series: Series) -> Iterator[dict[str, Any]]:
    return (series[i] for i in range(len(series)))


@torch.no_grad()
def predict_pairs(
    network: Any, images: Tensor, pairs: list[tuple[int, int]], device: torch.device
) -> NDArray[np.bool_]:
    """Change maps (P, H, W) for pairs of the dates of `images` (T, C, H, W)."""
    images = images.to(device)
    features = network.encode(images) if hasattr(network, "encode") else None
    maps = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        first, second = (list(side) for side in zip(*pairs[start : start + PAIRS_AT_ONCE], strict=True))
        if features is None:
            logits = network(images[first], images[second])
        else:
            logits = network.decode([f[first] for f in features], [f[second] for f in features])
        maps.append((logits[:, 0] > 0).cpu().numpy())
    return np.concatenate(maps)


@torch.no_grad()
def predict_masks(network: Any, images: Tensor, device: torch.device) -> NDArray[np.bool_]:
    """Footprints (T, H, W) of images (T, C, H, W)."""
    return np.asarray((network(images.to(device))[:, 0] > 0).cpu().numpy())


def _consistency(
    by_site: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]],
) -> tuple[float, float]:
    """LCA and GCA of each site, averaged with the sites' pixels as weights; NaN sites left out."""
    found = []
    for parts in by_site.values():
        pred, true = (np.concatenate([part[k] for part in parts], axis=1) for k in (0, 1))
        found.append((*metrics.temporal_consistency(pred, true), pred.shape[1]))
    known = [(lca, gca, n) for lca, gca, n in found if n and not np.isnan(gca) and not np.isnan(lca)]
    if not known:
        return float("nan"), float("nan")
    lca, gca, weight = np.array(known).T
    return float(np.average(lca, weights=weight)), float(np.average(gca, weights=weight))


class _IndexRule:
    """NDVI below a threshold, where the benchmark has red and near infrared."""

    def __init__(self, red: int, nir: int) -> None:
        self.red, self.nir, self.best = red, nir, BestThreshold(highest=2.0)

    def add(self, series: Series, images: Tensor, masks: NDArray[np.uint8]) -> None:
        shape = (-1, 1, 1)
        pixels = images.numpy() * series.scale.std.reshape(shape) + series.scale.mean.reshape(shape)
        for image, mask in zip(pixels, masks, strict=True):
            self.best.add(baselines.bareness(image, self.red, self.nir), mask)


def _index_rule(series: Series) -> _IndexRule | None:
    bands = series.cubes.bands(series.tiles[0].site_id)
    return _IndexRule(bands.index("B04"), bands.index("B08")) if {"B04", "B08"} <= set(bands) else None


class _Examples:
    """Keeps the predictions of the pairs with most change, one a tile, for the report."""

    def __init__(self, pairs: pd.DataFrame) -> None:
        if pairs.empty:
            raise InputError("The split has no pairs to evaluate.")
        best = pairs.sort_values(["changed", "tile_id"], ascending=[False, True]).drop_duplicates("tile_id")
        self.wanted = {(row.tile_id, row.t1, row.t2) for row in best.head(EXAMPLES).itertuples()}
        self.found: dict[str, NDArray[Any]] = {}

    def offer(self, tile_id: str, t1: str, t2: str, change: NDArray[np.bool_]) -> None:
        if (tile_id, t1, t2) in self.wanted:
            self.found[f"{tile_id}|{t1}|{t2}"] = np.packbits(change, axis=-1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return dict(sorted(self.found.items()))
