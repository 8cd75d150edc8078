"""Footprints smoothed over time: a hidden Markov chain of two states, mine or not, at each pixel.

What a network says of each date is an observation of the state; the state changes from date to date with a
rate of growth and a rate of reclamation. Exact marginals by the forward and backward recursions (Rabiner
1989, doi 10.1109/5.18626, equations 19 to 27), for all pixels at once; of two dates also the probability that
their states differ, which the marginals alone do not give.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor

from minebench import periods

LEAST = 1e-4
"""No observation is surer than this."""


@dataclass(frozen=True)
class Smoothing:
    """`growth`: share of what is no mine that is one an interval later; `reclamation`: the reverse; `share`:
    of mine in the truth; `unit`: steps of an interval (`periods.interval`). A network's log-odds times
    `slope` plus `offset` are those of the truth."""

    growth: float
    reclamation: float
    share: float
    unit: int = 1
    slope: float = 1.0
    offset: float = 0.0

    def saved(self) -> dict[str, float]:
        return asdict(self)

    def marginals(self, logits: Tensor, seen: Tensor, labels: Sequence[str]) -> Tensor:
        """Probability (T, H, W) of mine on each date, given all of them. `logits` (T, H, W) are the
        network's, `seen` (T, H, W) where there was an observation, `labels` the dates' periods."""
        return _Chain.of(self, logits, seen, labels).marginal.float()

    def changes(
        self, logits: Tensor, seen: Tensor, labels: Sequence[str], pairs: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Probability (P, H, W) that the state differs between the two dates of each pair, given all
        dates."""
        chain = _Chain.of(self, logits, seen, labels)
        by_first: dict[int, list[int]] = {}
        for place, (first, _) in enumerate(pairs):
            by_first.setdefault(first, []).append(place)
        found: list[Tensor] = [logits[0]] * len(pairs)
        for first, places in by_first.items():
            wanted = {pairs[place][1]: place for place in places}
            for last, probability in chain.differs(first, max(wanted)):
                if last in wanted:
                    found[wanted[last]] = probability
        return torch.stack(found).float()


@dataclass(frozen=True)
class _Chain:
    """Shares of mine against both states, of each pixel: what was `observed` on a date, what follows from the
    dates after it (`backward`), and from all (`marginal`), (T, H, W); and the `rates` of growth and of
    reclamation from one date to the next."""

    observed: Tensor
    backward: Tensor
    marginal: Tensor
    rates: list[tuple[float, float]]

    @classmethod
    def of(cls, smoothing: Smoothing, logits: Tensor, seen: Tensor, labels: Sequence[str]) -> "_Chain":
        prior = math.log(smoothing.share / (1 - smoothing.share))
        odds = logits.double().clamp(-50, 50) * smoothing.slope + (smoothing.offset - prior)
        observed = torch.where(seen, torch.sigmoid(odds), 0.5).clamp(LEAST, 1 - LEAST)
        rates = _rates(smoothing, labels)
        forward, backward = torch.empty_like(observed), torch.full_like(observed, 0.5)
        ahead = torch.full_like(observed[0], smoothing.share)
        for date, own in enumerate(observed):
            forward[date] = _both(ahead, own)
            if date < len(rates):
                growth, reclamation = rates[date]
                ahead = growth + forward[date] * (1 - reclamation - growth)
        for date in range(len(observed) - 2, -1, -1):
            (growth, reclamation), later = rates[date], _both(observed[date + 1], backward[date + 1])
            none, mine = 1 - growth + later * (2 * growth - 1), reclamation + later * (1 - 2 * reclamation)
            backward[date] = mine / (none + mine)
        return cls(observed, backward, _both(forward, backward), rates)

    def differs(self, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """For each date after `first`, to `last`, the probability (H, W) that its state is another."""
        # Probability of mine later, where it was none at first, and where it was one.
        if_none, if_mine = torch.zeros_like(self.marginal[first]), torch.ones_like(self.marginal[first])
        for date in range(first, last):
            (growth, reclamation), later = (
                self.rates[date],
                _both(self.observed[date + 1], self.backward[date + 1]),
            )
            grown = _both(torch.full_like(later, growth), later)
            kept = _both(torch.full_like(later, 1 - reclamation), later)
            if_none, if_mine = (grown + state * (kept - grown) for state in (if_none, if_mine))
            was = self.marginal[first]
            yield date + 1, if_none + was * (1 - if_mine - if_none)


def _both(one: Tensor, other: Tensor) -> Tensor:
    """Two independent shares of mine as one."""
    mine = one * other
    return mine / (mine + (1 - one) * (1 - other))


def _rates(smoothing: Smoothing, labels: Sequence[str]) -> list[tuple[float, float]]:
    """Growth and reclamation between dates; a gap of several intervals is as many steps."""
    one = torch.tensor(
        [[1 - smoothing.growth, smoothing.growth], [smoothing.reclamation, 1 - smoothing.reclamation]],
        dtype=torch.float64,
    )
    gaps = [periods.interval(a, b) for a, b in pairwise(labels)]
    powers = [torch.linalg.matrix_power(one, max(1, round(gap / smoothing.unit))) for gap in gaps]
    return [(float(power[0, 1]), float(power[1, 0])) for power in powers]


def learnt(transitions: Sequence[int], unit: int, counts: Tensor, thresholds: Tensor) -> Smoothing:
    """From the training truth's `transitions` between neighbouring dates (none to none, none to mine, mine
    to none, mine to mine) that are `unit` apart, and from a network's probabilities counted by class
    (2, bins) at `thresholds` (`minebench.metrics.histogram.Histogram`)."""
    stayed, grew, reclaimed, kept = (value + 0.5 for value in transitions)
    slope, offset = _calibrated(counts.double(), thresholds.double())
    share = float((counts[1].sum() + 0.5) / (counts.sum() + 1))
    return Smoothing(grew / (stayed + grew), reclaimed / (reclaimed + kept), share, unit, slope, offset)


def _calibrated(counts: Tensor, thresholds: Tensor) -> tuple[float, float]:
    """Slope and offset of the log-odds by logistic regression on counted probabilities (Platt 1999), with
    Newton's steps; no change where a class is absent."""
    if not (counts.sum(dim=1) > 0).all():
        return 1.0, 0.0
    middle = thresholds + 0.5 / counts.shape[1]
    odds = torch.logit(middle.clamp(LEAST, 1 - LEAST))
    design = torch.stack([odds, torch.ones_like(odds)], dim=1)
    total, positive = counts.sum(dim=0), counts[1]
    found = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(50):
        expected = torch.sigmoid(design @ found)
        gradient = design.T @ (positive - total * expected)
        weight = (total * expected * (1 - expected)).clamp_min(1e-9)
        curvature = design.T @ (design * weight[:, None]) + 1e-6 * torch.eye(2, dtype=torch.float64)
        step = torch.linalg.solve(curvature, gradient)
        found = found + step.clamp(-1, 1)
        if float(step.abs().max()) < 1e-9:
            break
    # A network that is worse than chance is not to be turned around.
    return max(float(found[0]), 0.0), float(found[1])
