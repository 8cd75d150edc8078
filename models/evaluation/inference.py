"""Predictions of a trained model for the dates of a tile: each date is encoded once for all its pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from models.base import Features, Model, Siamese
from models.smoothing import Smoothing

if TYPE_CHECKING:
    from models.evaluation.stacks import Stack

PAIRS_AT_ONCE = 16


class Predicts(Protocol):
    """What is scored: a network, or what another framework predicted. Logits are NaN where there is no
    prediction."""

    def pairs(self, stack: "Stack", pairs: Sequence[tuple[int, int]]) -> Tensor:
        """Change logits (P, H, W) for pairs of a tile's dates."""
        ...

    def masks(self, stack: "Stack") -> Tensor:
        """Footprint logits (T, H, W) for a tile's dates."""
        ...


class Network:
    """A model of the registry as what is scored."""

    def __init__(self, network: Model) -> None:
        self.network = network

    def pairs(self, stack: "Stack", pairs: Sequence[tuple[int, int]]) -> Tensor:
        return _answered(pair_logits(self.network, stack.images, pairs, stack.around))

    def masks(self, stack: "Stack") -> Tensor:
        return _answered(mask_logits(self.network, stack.images))


class Smoothed(Network):
    """A footprint model whose masks of a series are smoothed over time, and the change that they make."""

    def __init__(self, network: Model, smoothing: Smoothing) -> None:
        super().__init__(network)
        self.smoothing = smoothing

    def pairs(self, stack: "Stack", pairs: Sequence[tuple[int, int]]) -> Tensor:
        logits, seen = super().masks(stack), _seen(stack)
        return torch.logit(self.smoothing.changes(logits, seen, stack.periods, pairs))

    def masks(self, stack: "Stack") -> Tensor:
        return torch.logit(self.smoothing.marginals(super().masks(stack), _seen(stack), stack.periods))


def predicts_of(network: Model, saved: dict[str, Any]) -> Network:
    """What is scored of a loaded run."""
    smoothing = saved.get("smoothing")
    return Smoothed(network, Smoothing(**smoothing)) if smoothing else Network(network)


def _seen(stack: "Stack") -> Tensor:
    """Where there is data (T, H, W)."""
    return (stack.images != 0).any(dim=1)


def _answered(logits: Tensor) -> Tensor:
    """Where a network that diverged says NaN it says nothing there, and is scored on it."""
    return torch.where(logits.isnan(), -torch.inf, logits)


@torch.no_grad()
def pair_logits(
    network: Model, images: Tensor, pairs: Sequence[tuple[int, int]], around: Tensor | None = None
) -> Tensor:
    """Change logits (P, H, W) for pairs of the dates of `images` (T, C, H, W); `around` are their
    neighbourhoods, for models that take them."""
    network.check([images])
    levels = network.encode(images) if isinstance(network, Siamese) else None
    found = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        first, second = (list(side) for side in zip(*pairs[start : start + PAIRS_AT_ONCE], strict=True))
        if levels is not None and isinstance(network, Siamese):
            logits = network.decode(_of(levels, first), _of(levels, second))
        elif network.context and around is not None:
            logits = network(images[first], images[second], around[first], around[second])
        else:
            logits = network(images[first], images[second])
        found.append(logits[:, 0])
    return torch.cat(found).float()


@torch.no_grad()
def mask_logits(network: Model, images: Tensor) -> Tensor:
    """Footprint logits (T, H, W) of images (T, C, H, W)."""
    if network.sees_series:
        return network(images[None])[:, 0].float()
    parts = [network(part)[:, 0] for part in images.split(PAIRS_AT_ONCE)]
    return torch.cat(parts).float()


def _of(levels: Features, dates: list[int]) -> list[Tensor]:
    return [level[dates] for level in levels]


def wait(result: Tensor) -> None:
    """Until the device is done, so that a clock reads what it took."""
    if result.device.type == "cuda":
        torch.cuda.synchronize(result.device)
