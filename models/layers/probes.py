"""Probes of Google's Satellite Embedding: small classifiers of a pixel's own vector, learnt at once.

A footprint probe sees the vector of a date, a change probe how far each of its components moved between
two. Both are learnt on as many pixels of either class, so that rare change is seen at all; then the threshold
of highest F1 on the training split is chosen, as for every classical model.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minebench.errors import InputError
from models.base import Classical

SHARPNESS = 0.07
"""How fast a neighbour's say falls with its distance: exp(-d^2 / 2 / SHARPNESS), the weights of Wu et al.
2018 (arXiv 1805.01978) for vectors of length 1, whose d^2 is 2 - 2 cos."""
LEAST = 1e-4
"""Chances are kept as far from 0 and 1."""
ROWS = 4096
"""Pixels that are compared with the memory at a time."""


def vectors(images: Tensor) -> Tensor:
    """Embeddings (N, C, H, W) from images in training's scale (`minebench.data.datasets.training_scale`:
    their numbers by 127.5), of length 1; 0 where there is no data."""
    return images * images.abs()


class Probe(Classical):
    """`statistic` is the chance of the class to be found, were both as frequent. Logits are its log-odds less
    the threshold's."""

    of_embeddings = True
    by_pixel = True
    smallest = 1
    highest = 1.0

    @staticmethod
    def features(*images: Tensor) -> Tensor:
        """What a pixel is judged by (N, F, H, W): its vector, or the components' distances of two dates."""
        found = [vectors(image) for image in images]
        return found[0] if len(found) == 1 else (found[0] - found[1]).abs()

    def learn(self, pixels: NDArray[np.float32], labels: NDArray[np.uint8], seed: int) -> None:
        """From as many pixels (P, F) of either class, labels (P,) in {0, 1}."""
        raise NotImplementedError

    def chance(self, pixels: Tensor) -> Tensor:
        """(P,) of pixels (P, F)."""
        raise NotImplementedError

    def forward(self, *images: Tensor) -> Tensor:
        chance, cut = (each.clamp(LEAST, 1 - LEAST) for each in (self.statistic(*images), self.threshold))
        return torch.logit(chance) - torch.logit(cut)

    def statistic(self, *images: Tensor) -> Tensor:
        features = self.features(*images)
        pixels = features.movedim(1, -1).flatten(0, 2)
        return self.chance(pixels).view(len(features), 1, *features.shape[2:])


class LinearProbe(Probe):
    """Logistic regression on the components."""

    weight: Tensor
    bias: Tensor

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.register_buffer("weight", torch.zeros(in_channels))
        self.register_buffer("bias", torch.zeros(()))

    def learn(self, pixels: NDArray[np.float32], labels: NDArray[np.uint8], seed: int) -> None:
        from sklearn.linear_model import LogisticRegression

        # Components are some 0.1 and penalised as if they were 1: C makes up for it.
        found = LogisticRegression(C=100.0, max_iter=1000).fit(pixels.astype(np.float64), labels)
        self.weight.copy_(torch.from_numpy(found.coef_[0]))
        self.bias.copy_(torch.tensor(found.intercept_[0]))

    def chance(self, pixels: Tensor) -> Tensor:
        return torch.sigmoid(pixels @ self.weight + self.bias)


class NearestProbe(Probe):
    """The say of the `neighbours` nearest of `memory` remembered pixels, nearer ones more."""

    remembered: Tensor
    labels: Tensor

    def __init__(self, in_channels: int, neighbours: int = 20, memory: int = 2048) -> None:
        super().__init__(in_channels)
        for option, given, least in (("neighbours", neighbours, 1), ("memory", memory, 2)):
            if given < least:
                raise InputError(f"options: {option} is {given}; it is at least {least}.")
        self.neighbours = min(neighbours, memory)
        self.register_buffer("remembered", torch.zeros(memory, in_channels))
        self.register_buffer("labels", torch.zeros(memory))

    def learn(self, pixels: NDArray[np.float32], labels: NDArray[np.uint8], seed: int) -> None:
        rng, half = np.random.default_rng(seed), len(self.labels) // 2
        sizes = (half, len(self.labels) - half)
        drawn = [rng.choice(np.flatnonzero(labels == value), size) for value, size in enumerate(sizes)]
        places = np.concatenate(drawn)
        self.remembered.copy_(torch.from_numpy(pixels[places]))
        self.labels.copy_(torch.from_numpy(labels[places]))

    def chance(self, pixels: Tensor) -> Tensor:
        return torch.cat([self._say(part) for part in pixels.split(ROWS)])

    def _say(self, pixels: Tensor) -> Tensor:
        near = torch.cdist(pixels, self.remembered).topk(self.neighbours, largest=False)
        weight = torch.softmax(-near.values.square() / 2 / SHARPNESS, dim=1)
        return (weight * self.labels[near.indices]).sum(dim=1)
