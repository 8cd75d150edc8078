"""Models that are learnt at once: probes from pixels of either class, and of all classical ones the
threshold, the one with the best F1 on the training split."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minebench.errors import InputError
from minebench.masks import UNKNOWN
from minebench.metrics.confusion import scores
from minebench.metrics.histogram import Histogram
from models.base import Classical, Model
from models.layers.probes import Probe
from models.training.batches import Batch, BatchSampler
from models.training.objective import Standardise

ITEMS = 500
"""Training items that are looked at, spread evenly."""
PIXELS = 20_000
"""Of either class that a probe learns from at most, drawn by the seed, evenly from the items."""
JUDGED = 200_000
"""Pixels that the threshold of a model of single pixels is chosen on at most, likewise."""
Sample = tuple[Tensor, Tensor]
"""Pixels in stored numbers (D, C, P), and their labels (P,)."""


@torch.no_grad()
def fit(network: Model, training: BatchSampler) -> dict[str, float]:
    """Fit a classical model; returns its threshold and its F1 there. InputError where there is one class
    alone to learn from."""
    assert isinstance(network, Classical)
    standardise = Standardise(training.scale)
    counted = Histogram(network.highest)
    if network.by_pixel:
        either, judged = _sampled(training)
        if isinstance(network, Probe):
            features = network.features(*_images(either, standardise))[0, :, 0].T
            network.learn(features.numpy(), either[1].numpy(), training.settings.seed)
        counted.add(network.statistic(*_images(judged, standardise))[0, 0, 0], judged[1])
    else:
        for batch in _batches(training):
            images = standardise(batch.images).unbind(dim=1)
            counted.add(network.statistic(*images)[:, 0], batch.masks[:, 0])
    threshold, best = counted.best()
    network.threshold.fill_(threshold)
    return {"threshold": threshold, "f1": scores(best)["f1"]}


def _batches(training: BatchSampler) -> Iterator[Batch]:
    chosen = np.unique(np.linspace(0, len(training) - 1, ITEMS).round().astype(int))
    for start in range(0, len(chosen), training.settings.batch):
        yield training.read(chosen[start : start + training.settings.batch], None)


def _images(sample: Sample, standardise: Standardise) -> tuple[Tensor, ...]:
    """A sample's dates as images of one row (1, C, 1, P)."""
    return standardise(sample[0][:, :, None, :]).unsqueeze(1).unbind(dim=0)


def _sampled(training: BatchSampler) -> tuple[Sample, Sample]:
    """As many pixels of either class, and pixels as they come."""
    rng = np.random.default_rng(training.settings.seed)
    items = min(ITEMS, len(training))
    most, judged = -(-PIXELS // items), -(-JUDGED // items)
    classes: tuple[list[Tensor], list[Tensor]] = ([], [])
    known: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in _batches(training):
        for image, mask in zip(batch.images.flatten(3), batch.masks[:, 0].flatten(1), strict=True):
            for value, held in enumerate(classes):
                held.append(image[..., _some(mask == value, most, rng)])
            places = _some(mask != UNKNOWN, judged, rng)
            known.append(image[..., places])
            labels.append(mask[places])
    either = [torch.cat(held, dim=-1) for held in classes]
    few = min(PIXELS, *(pixels.shape[-1] for pixels in either))
    if not few:
        raise InputError(
            f"The {items} tiles and dates that a probe learns from show one class alone: label more sites."
        )
    drawn = [pixels[..., rng.permutation(pixels.shape[-1])[:few]] for pixels in either]
    truth = torch.tensor([0, 1], dtype=torch.uint8).repeat_interleave(few)
    return (torch.cat(drawn, dim=-1), truth), (torch.cat(known, dim=-1), torch.cat(labels))


def _some(of: Tensor, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The places of at most so many pixels where `of` is true."""
    places = np.flatnonzero(of.numpy())
    return rng.permutation(places)[:most]
