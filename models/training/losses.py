"""Losses over the known pixels of a batch. `logits` (N, 1, H, W), `label` (N, H, W) in {0, 1, 255}."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.masks import UNKNOWN

GAMMA = 2.0
"""Focusing parameter of the focal loss (Lin et al. 2017, arXiv 1708.02002, equation 5)."""


def bce(z: Tensor, true: Tensor, positive_weight: float) -> Tensor:
    """Binary cross-entropy, mean over the known pixels (K,)."""
    weight = torch.tensor(positive_weight, device=z.device)
    return F.binary_cross_entropy_with_logits(z, true, pos_weight=weight)


def dice(z: Tensor, true: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Soft Dice over all known pixels of the batch (Milletari et al. 2016, arXiv 1606.04797)."""
    p = torch.sigmoid(z)
    return 1 - (2 * (p * true).sum() + 1) / (p.sum() + true.sum() + 1)


def bce_dice(z: Tensor, true: Tensor, positive_weight: float) -> Tensor:
    return bce(z, true, positive_weight) + dice(z, true)


def focal(z: Tensor, true: Tensor, positive_weight: float) -> Tensor:
    """Cross-entropy, each pixel weighed by (1 - p of its class) ** GAMMA."""
    entropy = F.binary_cross_entropy_with_logits(z, true, reduction="none")
    sure = torch.sigmoid(torch.where(true == 1, z, -z))
    weight = torch.where(true == 1, positive_weight, 1.0)
    return (weight * (1 - sure) ** GAMMA * entropy).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "bce": bce,
    "cross-entropy": bce,
    "bce-dice": bce_dice,
    "focal": focal,
}


def loss_of(logits: Tensor, label: Tensor, loss: str, positive_weight: float = 1.0) -> Tensor:
    """The loss over known pixels; 0 where none is known."""
    known = label != UNKNOWN
    # In float32 under autocast too: sums over many pixels.
    z, true = logits[:, 0][known].float(), (label[known] == 1).float()
    if not z.numel():
        return logits.sum() * 0
    return LOSSES[loss](z, true, positive_weight)


def loss_over(logits: Tensor, label: Tensor, loss: str, positive_weight: float = 1.0) -> Tensor:
    """EuroMineNet's multitemporal loss: the loss of each date, or of each pair, averaged. `logits`
    (N, K, H, W), `label` (N, K, H, W), K dates or pairs; those without a known pixel do not count."""
    found = [
        loss_of(logits[:, k : k + 1], label[:, k], loss, positive_weight)
        for k in range(label.shape[1])
        if (label[:, k] != UNKNOWN).any()
    ]
    return torch.stack(found).mean() if found else logits.sum() * 0
