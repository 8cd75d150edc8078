"""Footprints smoothed over time: a hidden Markov chain of two states, mine or not, at each pixel.

What a network says of each date is an observation of the state; the state changes from date to date with a
rate of growth and a rate of reclamation. Exact marginals by the forward and backward recursions (Rabiner
1989, doi 10.1109/5.18626, equations 19 to 27), for all pixels at once; of two dates also the probability that
their states differ, which the marginals alone do not give.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core import periods

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
        chain = _Chain.of(self, logits, seen, labels)
        return chain.marginal[..., 1].float()

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
    """Of each pixel: `observed`, `backward` and `marginal` (T, H, W, 2), and the rates (T - 1, 2, 2) from one
    date to the next."""

    observed: Tensor
    backward: Tensor
    marginal: Tensor
    rates: Tensor

    @classmethod
    def of(cls, smoothing: Smoothing, logits: Tensor, seen: Tensor, labels: Sequence[str]) -> "_Chain":
        prior = torch.logit(torch.tensor(smoothing.share, dtype=torch.float64))
        odds = logits.double().clamp(-50, 50) * smoothing.slope + smoothing.offset - prior
        mine = torch.where(seen, torch.sigmoid(odds), 0.5).clamp(LEAST, 1 - LEAST)
        observed = torch.stack([1 - mine, mine], dim=-1)
        rates = _rates(smoothing, labels).to(logits.device)
        forward, backward = torch.empty_like(observed), torch.ones_like(observed)
        start = torch.tensor(
            [1 - smoothing.share, smoothing.share], dtype=torch.float64, device=logits.device
        )
        forward[0] = _normal(observed[0] * start)
        for date in range(1, len(observed)):
            forward[date] = _normal(observed[date] * (forward[date - 1] @ rates[date - 1]))
        for date in range(len(observed) - 2, -1, -1):
            backward[date] = _normal((observed[date + 1] * backward[date + 1]) @ rates[date].T)
        return cls(observed, backward, _normal(forward * backward), rates)

    def differs(self, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """For each date after `first`, to `last`, the probability (H, W) that its state is another."""
        # Probability of mine later, where it was none at first, and where it was one.
        later = torch.zeros_like(self.marginal[first])
        later[..., 1] = 1
        for date in range(first, last):
            ahead = self.observed[date + 1] * self.backward[date + 1]
            grown, kept = (_normal(ahead * self.rates[date][state])[..., 1, None] for state in (0, 1))
            later = later * kept + (1 - later) * grown
            was = self.marginal[first]
            yield date + 1, was[..., 0] * later[..., 0] + was[..., 1] * (1 - later[..., 1])


def _normal(values: Tensor) -> Tensor:
    return values / values.sum(dim=-1, keepdim=True)


def _rates(smoothing: Smoothing, labels: Sequence[str]) -> Tensor:
    """Probabilities (T - 1, from, to) between dates; a gap of several intervals is as many steps."""
    one = torch.tensor(
        [[1 - smoothing.growth, smoothing.growth], [smoothing.reclamation, 1 - smoothing.reclamation]],
        dtype=torch.float64,
    )
    gaps = [periods.interval(a, b) for a, b in pairwise(labels)]
    powers = [torch.linalg.matrix_power(one, max(1, round(gap / smoothing.unit))) for gap in gaps]
    return torch.stack(powers) if powers else one[None][:0]


def learnt(transitions: Sequence[int], unit: int, counts: Tensor, thresholds: Tensor) -> Smoothing:
    """From the training truth's `transitions` between neighbouring dates (none to none, none to mine, mine
    to none, mine to mine) that are `unit` apart, and from a network's probabilities counted by class
    (2, bins) at `thresholds` (`models.histogram.Histogram`)."""
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
