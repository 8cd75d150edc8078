"""A measure's values counted by class: every threshold's confusion, average precision, the best F1.

Values are counted in BINS equal steps, so a score is that of the values rounded down to a step: exact
for them, whatever the number of pixels, in memory that does not grow.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minebench.masks import UNKNOWN
from minebench.metrics.confusion import Confusion

BINS = 1024


class Histogram:
    """Counts (2, BINS) of a measure from 0 to `highest`, of negatives and of positives, on the device of
    what is added first."""

    def __init__(self, highest: float = 1.0) -> None:
        self.highest = highest
        self.held: Tensor | None = None

    def add(self, measure: Tensor, true: Tensor) -> None:
        """Count pixels of `measure` by `true` in {0, 1, 255}, of one shape; 255 is left out."""
        step = (measure.float() * (BINS / self.highest)).long().clamp(0, BINS - 1)
        place = torch.where(true == UNKNOWN, 2, true.long()) * BINS + step
        found = torch.bincount(place.flatten(), minlength=3 * BINS)
        self.held = found if self.held is None else self.held + found

    def summed_into(self, device: torch.device) -> Tensor:
        """The counts to be summed over processes, in place."""
        if self.held is None:
            self.held = torch.zeros(3 * BINS, dtype=torch.int64, device=device)
        return self.held

    @property
    def counts(self) -> NDArray[np.int64]:
        if self.held is None:
            return np.zeros((2, BINS), np.int64)
        return np.asarray(self.held.cpu().numpy()[: 2 * BINS].reshape(2, BINS))

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Where each step begins (BINS,)."""
        return np.arange(BINS) * self.highest / BINS

    def above(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """False and true positives at and above each threshold (BINS,)."""
        fp, tp = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        return fp, tp

    def at(self, step: int) -> Confusion:
        """The confusion where values from this step on are positive."""
        fp, tp = self.above()
        negatives, positives = self.counts.sum(axis=1)
        return Confusion(*(int(n) for n in (tp[step], fp[step], positives - tp[step], negatives - fp[step])))

    def best(self) -> tuple[float, Confusion]:
        """The threshold of highest F1, the lowest of them where several have it, and its confusion."""
        fp, tp = self.above()
        f1 = 2 * tp / np.maximum(tp + fp + self.counts[1].sum(), 1)
        step = int(f1.argmax())
        return float(self.thresholds[step]), self.at(step)

    def average_precision(self) -> float:
        """Sum over the thresholds of the gain in recall times the precision there; NaN without
        positives."""
        fp, tp = (counts[::-1] for counts in self.above())
        positives = tp[-1]
        if not positives:
            return float("nan")
        gain = np.diff(tp, prepend=0)
        return float((gain * tp / np.maximum(tp + fp, 1)).sum() / positives)

    def curve(self, points: int = 64) -> list[dict[str, float]]:
        """Precision and recall at evenly spread thresholds, for plots."""
        fp, tp = self.above()
        positives = max(int(self.counts[1].sum()), 1)
        steps = np.unique(np.linspace(0, BINS - 1, points).round().astype(int))
        return [
            {
                "threshold": float(self.thresholds[k]),
                "precision": float(tp[k] / (tp[k] + fp[k])) if tp[k] + fp[k] else float("nan"),
                "recall": float(tp[k] / positives),
            }
            for k in steps
        ]
