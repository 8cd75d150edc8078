"""Predictions of a trained model for the dates of a tile: each date is encoded once for all its pairs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.base import Features, Model, Siamese

PAIRS_AT_ONCE = 16


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
    parts = [network(part)[:, 0] for part in images.split(PAIRS_AT_ONCE)]
    return torch.cat(parts).float()


def _of(levels: Features, dates: list[int]) -> list[Tensor]:
    return [level[dates] for level in levels]


def wait(result: Tensor) -> None:
    """Until the device is done, so that a clock reads what it took."""
    if result.device.type == "cuda":
        torch.cuda.synchronize(result.device)
