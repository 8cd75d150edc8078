"""Rules with nothing to learn but a threshold: it is the one with the best F1 on the training split."""

import numpy as np
import torch

from models.base import Classical, Model
from models.histogram import Histogram
from models.metrics import scores
from models.training.batches import BatchSampler
from models.training.objective import Standardise

ITEMS = 500
"""Training items that the threshold is chosen on, spread evenly."""


@torch.no_grad()
def fit(network: Model, training: BatchSampler) -> dict[str, float]:
    """Set the threshold of a classical model; returns it and its F1 there."""
    assert isinstance(network, Classical)
    standardise = Standardise(training.scale)
    chosen = np.unique(np.linspace(0, len(training) - 1, ITEMS).round().astype(int))
    counted = Histogram(network.highest)
    for start in range(0, len(chosen), training.settings.batch):
        batch = training.read(chosen[start : start + training.settings.batch], None)
        a, b = standardise(batch.images).unbind(dim=1)
        counted.add(network.statistic(a, b)[:, 0], batch.masks[:, 0])
    threshold, best = counted.best()
    network.threshold.fill_(threshold)
    return {"threshold": threshold, "f1": scores(best)["f1"]}
