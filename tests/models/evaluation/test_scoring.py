import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import average_precision_score, f1_score
from torchmetrics.classification import BinaryAveragePrecision, BinaryF1Score, BinaryJaccardIndex

from minebench.metrics.confusion import confusion, consistency_counts, lca_gca, scores, temporal_consistency
from minebench.metrics.histogram import BINS, Histogram
from models.evaluation import bootstrap, tally
from models.evaluation.scores import mean_over_sites, total
from models.evaluation.tally import Tally

probabilities = arrays(np.float32, 200, elements=st.floats(0, 1, width=32))
labels = arrays(np.uint8, 200, elements=st.sampled_from([0, 1, 255]))


@settings(deadline=None)
@given(probabilities, labels)
def test_average_precision_and_thresholds_are_scikit_learns(p: np.ndarray, true: np.ndarray) -> None:
    counted = Histogram()
    counted.add(torch.from_numpy(p[:100]), torch.from_numpy(true[:100]))
    counted.add(torch.from_numpy(p[100:]), torch.from_numpy(true[100:]))
    known = true != 255
    steps = np.clip((p * BINS).astype(int), 0, BINS - 1)
    if not (true[known] == 1).any():
        assert math.isnan(counted.average_precision())
        return
    expected = average_precision_score(true[known], steps[known])
    assert counted.average_precision() == pytest.approx(expected, abs=1e-6)
    grid = BinaryAveragePrecision(thresholds=None)
    assert counted.average_precision() == pytest.approx(
        float(grid(torch.from_numpy(steps[known] / BINS), torch.from_numpy(true[known].astype(int)))),
        abs=1e-6,
    )
    threshold, best = counted.best()
    f1 = {k: f1_score(true[known], steps[known] >= k, zero_division=0) for k in set(steps[known])}
    assert scores(best)["f1"] == pytest.approx(max(f1.values()), abs=1e-6)
    assert best == confusion(steps / BINS >= threshold, true)


@settings(deadline=None)
@given(arrays(np.bool_, (2, 6, 7)), arrays(np.uint8, (2, 6, 7), elements=st.sampled_from([0, 1, 255])))
def test_tallies_are_a_plain_loop_and_torchmetrics(pred: np.ndarray, true: np.ndarray) -> None:
    aoi = np.zeros((6, 7), bool)
    aoi[1:4] = True
    keys = [("a", "1", "1"), ("b", "1", "2"), ("c", "9", "9")]
    counted = Tally(keys, torch.device("cpu"))
    counted.add(keys[:2], *(torch.from_numpy(x) for x in (pred, true, aoi)))
    counted.add(keys[1:2], *(torch.from_numpy(x) for x in (pred[1:], true[1:], aoi)))
    table = counted.table()
    for key, p, t, times in (("a", pred[0], true[0], 1), ("b", pred[1], true[1], 2)):
        for inside in (False, True):
            row = table[(table.site_id == key) & (table.aoi == inside)].iloc[0]
            cells = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
            for y in range(6):
                for x in range(7):
                    if aoi[y, x] == inside and t[y, x] != 255:
                        cells[("t" if p[y, x] == t[y, x] else "f") + ("p" if p[y, x] else "n")] += times
            assert row[["tp", "fp", "fn", "tn"]].to_dict() == cells
    assert table[table.site_id == "c"][["tp", "fp", "fn", "tn"]].to_numpy().sum() == 0
    found = scores(total(table[table.site_id == "a"]))
    known = true[0] != 255
    if (pred[0][known] | (true[0][known] == 1)).any():
        p, t = (torch.from_numpy(x.astype(int)) for x in (pred[0][known], true[0][known]))
        assert found["f1"] == pytest.approx(float(BinaryF1Score()(p, t)), abs=1e-6)
        assert found["iou"] == pytest.approx(float(BinaryJaccardIndex()(p, t)), abs=1e-6)


@settings(deadline=None)
@given(arrays(np.bool_, (1, 9, 9)), arrays(np.uint8, (1, 9, 9), elements=st.sampled_from([0, 1, 255])))
def test_boundary_f1_is_a_plain_count(pred: np.ndarray, true: np.ndarray) -> None:
    counted = Tally([("a", "1", "1")], torch.device("cpu"))
    counted.add_edges(torch.from_numpy(pred), torch.from_numpy(true))
    known, square = true[0] != 255, np.ones((3, 3), bool)

    def edge(mask: np.ndarray) -> np.ndarray:
        return (mask & known) & ndimage.binary_dilation(~mask & known, square)

    own, drawn = edge(pred[0]), edge(true[0] == 1)
    near = [ndimage.binary_dilation(e, np.ones((5, 5), bool)) if e.any() else e for e in (own, drawn)]
    if not own.any() or not drawn.any():
        assert math.isnan(counted.boundary_f1())
        return
    precision, recall = (own & near[1]).sum() / own.sum(), (drawn & near[0]).sum() / drawn.sum()
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert counted.boundary_f1() == pytest.approx(expected)


def test_flicker_counts_what_comes_and_goes() -> None:
    masks = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1]], dtype=torch.bool)[:, None]
    known = torch.ones_like(masks)
    assert tally.flicker(masks, known).tolist() == [2, 4]
    known[1, 0, 0] = False
    assert tally.flicker(masks, known).tolist() == [1, 3]
    assert tally.flicker(masks[:2], known[:2]).tolist() == [0, 0]


@settings(deadline=None)
@given(arrays(np.bool_, (4, 150)), arrays(np.bool_, (4, 150)), st.integers(1, 149))
def test_consistency_adds_up_over_tiles(pred: np.ndarray, true: np.ndarray, cut: int) -> None:
    parts = [consistency_counts(pred[:, s], true[:, s]) for s in (slice(0, cut), slice(cut, None))]
    summed = lca_gca(*(sum(part[k] for part in parts) for k in (0, 1)))
    assert summed == pytest.approx(temporal_consistency(pred, true), nan_ok=True)


def test_means_over_sites_weigh_by_pixels_or_not() -> None:
    table = pd.DataFrame(
        [("a", 8, 2, 2, 88), ("b", 1, 0, 2, 7), ("c", 0, 0, 0, 50)],
        columns=["site_id", "tp", "fp", "fn", "tn"],
    )
    first, second = 16 / 20, 2 / 4
    assert mean_over_sites(table, "f1", weighted=False) == pytest.approx((first + second) / 2)
    assert mean_over_sites(table, "f1", weighted=True) == pytest.approx((first * 100 + second * 10) / 110)
    assert math.isnan(mean_over_sites(table[2:], "f1", weighted=True))


def test_intervals_hold_the_score_and_narrow_with_sites() -> None:
    rng = np.random.default_rng(0)
    few = np.stack([rng.binomial(100, p, 8) for p in (0.6, 0.2, 0.2, 0.9)], axis=1)
    many = np.tile(few, (20, 1))
    widths = []
    for sites in (few, many):
        low, high = bootstrap.interval(sites)
        assert low <= bootstrap.f1_of(sites.sum(axis=0)) <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert all(math.isnan(value) for value in bootstrap.interval(few[:1]))
    assert bootstrap.interval(few) == bootstrap.interval(few)


def test_paired_test_tells_alike_from_different() -> None:
    rng = np.random.default_rng(0)
    base = np.stack(
        [rng.integers(200, 300, 10), rng.integers(20, 40, 10), rng.integers(20, 40, 10), [900] * 10], 1
    )
    worse = base + np.array([-80, 60, 80, -60])
    # Every site says the same: only the two extreme of the 2 ** 10 exchanges are as far apart.
    assert bootstrap.paired(base, worse) == pytest.approx(2 / 2**10)
    assert bootstrap.paired(base, base) == 1
    mixed = np.where((np.arange(10) % 2 == 0)[:, None], worse, base)
    assert bootstrap.paired(mixed, np.roll(mixed, 1, axis=0)) > 0.05
    many, fewer = np.tile(base, (4, 1)), np.tile(worse, (4, 1))
    assert bootstrap.paired(many, fewer) < 0.01
