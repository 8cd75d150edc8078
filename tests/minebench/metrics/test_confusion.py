import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from minebench.metrics import confusion
from minebench.metrics.confusion import Confusion
from models.evaluation.baselines import all_background, bareness

labels = arrays(np.uint8, 60, elements=st.sampled_from([0, 1, 255]))


@given(arrays(np.bool_, 60), labels)
def test_scores_are_scikit_learns(pred: np.ndarray, true: np.ndarray) -> None:
    found = confusion.scores(confusion.confusion(pred, true))
    known = true != 255
    p, t = pred[known], true[known] == 1
    assert len(p) == 0 or found["oa"] == pytest.approx(accuracy_score(t, p))
    for name, score in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
        ("iou", jaccard_score),
    ):
        zero = {} if name == "iou" else {"zero_division": np.nan}
        expected = score(t, p, **zero) if (t | p).any() else math.nan
        assert found[name] == pytest.approx(expected, nan_ok=True)


@given(arrays(np.bool_, 60), labels)
def test_kappa_and_means_over_both_classes_are_scikit_learns(pred: np.ndarray, true: np.ndarray) -> None:
    found = confusion.scores(confusion.confusion(pred, true))
    known = true != 255
    p, t = pred[known], true[known] == 1
    if len({*t, *p}) == 2:
        assert found["kappa"] == pytest.approx(cohen_kappa_score(t, p))
        assert found["mf1"] == pytest.approx(f1_score(t, p, average="macro"))
        assert found["miou"] == pytest.approx(jaccard_score(t, p, average="macro"))
    else:
        assert math.isnan(found["kappa"])
        assert math.isnan(found["mf1"])


def test_undefined_is_nan_and_all_background_scores_zero() -> None:
    empty = confusion.scores(confusion.confusion(np.zeros(4, bool), np.zeros(4, np.uint8)))
    assert empty["oa"] == 1
    assert math.isnan(empty["f1"])
    unknown = confusion.scores(confusion.confusion(np.ones(4, bool), np.full(4, 255, np.uint8)))
    assert all(math.isnan(value) for value in unknown.values())
    assert all_background(Confusion(tp=3, fp=2, fn=1, tn=4))["f1"] == 0
    with pytest.raises(ValueError, match="pred is"):
        confusion.confusion(np.zeros(3, bool), np.zeros(4, np.uint8))


def test_confusions_add_up() -> None:
    assert Confusion(1, 2, 3, 4) + Confusion(5, 6, 7, 8) == Confusion(6, 8, 10, 12)


@settings(deadline=None)
@given(arrays(np.bool_, (5, 4, 9)), arrays(np.bool_, (5, 4, 9)))
def test_consistency_is_the_formula(pred: np.ndarray, true: np.ndarray) -> None:
    table = {}
    for i, j in combinations(range(5), 2):
        stable = true[i] == true[j]
        union = ((pred[i] | pred[j]) & stable).sum()
        table[i, j] = (pred[i] & pred[j] & stable).sum() / union if union else math.nan
    every = [value for value in table.values() if not math.isnan(value)]
    near = [value for (i, j), value in table.items() if j == i + 1 and not math.isnan(value)]
    lca, gca = confusion.temporal_consistency(pred, true)
    assert gca == pytest.approx(np.mean(every) if every else math.nan, nan_ok=True)
    assert lca == pytest.approx(np.mean(near) if near else math.nan, nan_ok=True)


def test_consistency_of_perfect_and_of_empty_predictions() -> None:
    true = np.zeros((3, 8, 8), bool)
    true[:, :4] = True
    true[2, 4:6] = True
    assert confusion.temporal_consistency(true, true) == (1, 1)
    assert all(math.isnan(value) for value in confusion.temporal_consistency(np.zeros_like(true), true))


def test_trivial_measures() -> None:
    image = torch.tensor([[[[10.0, 0]], [[30.0, 0]]]])
    assert bareness(image, red=0, nir=1).tolist() == [[[0.5, 1.0]]]
