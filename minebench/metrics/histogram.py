"""Histogram of a measure by class: confusion at every threshold, average precision, best F1.

Values are rounded down to BINS equal steps; scores of the rounded values are exact for any number of pixels,
in constant memory.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minebench.masks import UNKNOWN
from minebench.metrics.confusion import Confusion

BINS = 1024


class Histogram:
    """Histograms (2, BINS) of a measure from 0 to `highest`, of negatives and of positives.

    Counts are on the device of the first pixels that are added.
    """

    def __init__(self, highest: float = 1.0) -> None:
        self.highest = highest
        self.held: Tensor | None = None

    def add(self, measure: Tensor, true: Tensor) -> None:
        """Count the pixels of `measure` by their truth in {0, 1, 255}, of the same shape; 255 is left out."""
        step = (measure.float() * (BINS / self.highest)).long().clamp(0, BINS - 1)
        bins = torch.where(true == UNKNOWN, 2, true.long()) * BINS + step
        counts = torch.bincount(bins.flatten(), minlength=3 * BINS)
        self.held = counts if self.held is None else self.held + counts

    def summed_into(self, device: torch.device) -> Tensor:
        """Return the counts (3 BINS,), to be summed over processes in place; zeros if nothing was added."""
        if self.held is None:
            self.held = torch.zeros(3 * BINS, dtype=torch.int64, device=device)
        return self.held

    @property
    def counts(self) -> NDArray[np.int64]:
        """Counts (2, BINS) of negatives and of positives."""
        if self.held is None:
            return np.zeros((2, BINS), np.int64)
        return np.asarray(self.held.cpu().numpy()[: 2 * BINS].reshape(2, BINS))

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Lower end of each step (BINS,)."""
        return np.arange(BINS) * self.highest / BINS

    def above(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return false and true positives (BINS,) if values from each threshold on are positive."""
        fp, tp = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        return fp, tp

    def at(self, step: int) -> Confusion:
        """Return the confusion if values from this step on are positive."""
        fp, tp = self.above()
        negatives, positives = self.counts.sum(axis=1)
        return Confusion(*(int(n) for n in (tp[step], fp[step], positives - tp[step], negatives - fp[step])))

    def best(self) -> tuple[float, Confusion]:
        """Return the threshold with the highest F1, the lowest of equals, and its confusion."""
        fp, tp = self.above()
        f1 = 2 * tp / np.maximum(tp + fp + self.counts[1].sum(), 1)
        step = int(f1.argmax())
        return float(self.thresholds[step]), self.at(step)

    def average_precision(self) -> float:
        """Return the average precision; NaN without positives.

        It is the sum over thresholds of the precision times the increase in recall.
        """
        fp, tp = (counts[::-1] for counts in self.above())
        positives = tp[-1]
        if not positives:
            return float("nan")
        gain = np.diff(tp, prepend=0)
        return float((gain * tp / np.maximum(tp + fp, 1)).sum() / positives)

    def curve(self, points: int = 64) -> list[dict[str, float]]:
        """Return precision and recall at up to `points` evenly spaced thresholds, for plots."""
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
