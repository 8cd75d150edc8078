"""The chain is exact, and learns the rates that made its truth."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.smoothing import Smoothing, learnt

YEARS = ["2015", "2016", "2018", "2019", "2020"]
PAIRS = list(itertools.combinations(range(5), 2))
rates = st.floats(0.01, 0.4)


def by_hand(smoothing: Smoothing, logits: list[float], seen: list[bool]) -> tuple[list[float], list[float]]:
    """Sums over all 32 sequences of states."""
    prior = math.log(smoothing.share / (1 - smoothing.share))
    odds = [smoothing.slope * own + smoothing.offset - prior for own in logits]
    mine = [1 / (1 + math.exp(-own)) if known else 0.5 for own, known in zip(odds, seen, strict=True)]
    step = np.array([
        [1 - smoothing.growth, smoothing.growth], [smoothing.reclamation, 1 - smoothing.reclamation]
    ])  # fmt: skip
    steps = [step, step @ step, step, step]  # two years from 2016 to 2018
    total, marginal, change = 0.0, np.zeros(5), np.zeros(len(PAIRS))
    for states in itertools.product((0, 1), repeat=5):
        chance = (1 - smoothing.share, smoothing.share)[states[0]]
        for date, state in enumerate(states):
            chance *= mine[date] if state else 1 - mine[date]
            if date:
                chance *= steps[date - 1][states[date - 1], state]
        total += chance
        marginal += chance * np.array(states)
        change += chance * np.array([states[i] != states[j] for i, j in PAIRS])
    return list(marginal / total), list(change / total)


@given(
    rates, rates, st.floats(0.05, 0.9), st.floats(0.2, 2), st.floats(-1, 1),
    st.lists(st.floats(-4, 4), min_size=5, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5),
)  # fmt: skip
def test_marginals_and_changes_are_those_of_all_sequences(
    growth: float, reclamation: float, share: float, slope: float, offset: float, logits: list[float],
    seen: list[bool],
) -> None:  # fmt: skip
    smoothing = Smoothing(growth, reclamation, share, 1, slope, offset)
    series, known = torch.tensor(logits).view(5, 1, 1), torch.tensor(seen).view(5, 1, 1)
    marginal, change = by_hand(smoothing, logits, seen)
    found = smoothing.marginals(series, known, YEARS).flatten().tolist()
    assert found == pytest.approx(marginal, abs=2e-3)  # no observation is surer than LEAST
    found = smoothing.changes(series, known, YEARS, PAIRS[::-1]).flatten().tolist()
    assert found == pytest.approx(change[::-1], abs=2e-3)


def test_a_single_odd_date_is_smoothed_away_and_a_lasting_change_stays() -> None:
    smoothing = Smoothing(0.02, 0.01, 0.2)
    logits = torch.tensor([[-4.0, 1, -4, -4, -4], [-4, -4, 3, 3, 3]]).T[:, :, None]
    found = smoothing.marginals(logits, torch.ones_like(logits, dtype=torch.bool), YEARS)[..., 0] > 0.5
    assert found.T.tolist() == [[False] * 5, [False, False, True, True, True]]


def test_one_date_alone_keeps_its_probability() -> None:
    smoothing = Smoothing(0.02, 0.01, 0.2)
    logits = torch.linspace(-3, 3, 7).view(1, 7, 1)
    found = smoothing.marginals(logits, torch.ones_like(logits, dtype=torch.bool), ["2015"])
    assert torch.allclose(found, torch.sigmoid(logits), atol=1e-6)
    assert smoothing.marginals(logits, torch.zeros_like(logits, dtype=torch.bool), ["2015"]).mean() == (
        pytest.approx(0.2)
    )


def test_rates_and_trust_are_learnt() -> None:
    """A network that is twice as sure as it may be is trusted half."""
    middle = (torch.arange(1024, dtype=torch.float64) + 0.5) / 1024
    true = torch.sigmoid(0.5 * torch.logit(middle))
    counts = torch.stack([1e6 * (1 - true), 1e6 * true])
    found = learnt([900, 100, 10, 190], 2, counts, torch.arange(1024, dtype=torch.float64) / 1024)
    assert found.growth == pytest.approx(0.1, abs=1e-3)
    assert found.reclamation == pytest.approx(0.05, abs=3e-3)
    assert found.unit == 2
    assert found.slope == pytest.approx(0.5, abs=0.01)
    assert found.offset == pytest.approx(0, abs=0.01)
    assert found.share == pytest.approx(0.5)


def test_without_a_class_probabilities_are_taken_as_they_are() -> None:
    counts = torch.zeros(2, 1024)
    counts[0] = 1
    found = learnt([10, 0, 0, 0], 1, counts, torch.arange(1024) / 1024)
    assert (found.slope, found.offset) == (1, 0)
    assert 0 < found.growth < 0.1
