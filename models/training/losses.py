"""Losses over the known pixels of a batch. `logits` (N, 1, H, W), `label` (N, H, W) in {0, 1, 255}.

Unknown pixels weigh nothing, and are not sorted out: how many there are a GPU would have to be waited for.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from minebench.masks import UNKNOWN

GAMMA = 2.0
"""Focusing parameter of the focal loss (Lin et al. 2017, arXiv 1708.02002, equation 5)."""
EPS = 1e-7
"""Keeps the Dice of an absent class from 0 / 0."""
EACH = (0, 2, 3)
"""What a date's or a pair's loss is the mean over, of (N, K, H, W)."""


def mean(values: Tensor, known: Tensor) -> Tensor:
    """Of the known pixels, for each date or pair (K,); 0 where none is known."""
    return torch.where(known, values, 0).sum(EACH) / known.sum(EACH).clamp(min=1)


def bce(z: Tensor, true: Tensor, known: Tensor, positive_weight: float) -> Tensor:
    """Binary cross-entropy."""
    weight = torch.full((), positive_weight, device=z.device)
    entropy = F.binary_cross_entropy_with_logits(z, true, pos_weight=weight, reduction="none")
    return mean(entropy, known)


def dice(z: Tensor, true: Tensor, known: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Soft Dice over all known pixels of the batch (Milletari et al. 2016, arXiv 1606.04797)."""
    p, true = torch.sigmoid(z) * known, true * known
    return 1 - (2 * (p * true).sum(EACH) + 1) / (p.sum(EACH) + true.sum(EACH) + 1)


def bce_dice(z: Tensor, true: Tensor, known: Tensor, positive_weight: float) -> Tensor:
    return bce(z, true, known, positive_weight) + dice(z, true, known)


def bce_dice_both(z: Tensor, true: Tensor, known: Tensor, positive_weight: float) -> Tensor:
    """Cross-entropy and one minus the mean Dice of both classes, as SNUNet's authors and others have it."""
    p = torch.sigmoid(z)
    both = [_dice(p * known, true * known), _dice((1 - p) * known, (1 - true) * known)]
    return bce(z, true, known, positive_weight) + 1 - torch.stack(both).mean(dim=0)


def _dice(p: Tensor, true: Tensor) -> Tensor:
    """Dice coefficient, 0 of a class that is not there."""
    return 2 * (p * true).sum(EACH) / (p.sum(EACH) + true.sum(EACH) + EPS)


def focal(z: Tensor, true: Tensor, known: Tensor, positive_weight: float) -> Tensor:
    """Cross-entropy, each pixel weighed by (1 - p of its class) ** GAMMA."""
    entropy = F.binary_cross_entropy_with_logits(z, true, reduction="none")
    sure = torch.sigmoid(torch.where(true == 1, z, -z))
    weight = torch.where(true == 1, positive_weight, 1.0)
    return mean(weight * (1 - sure) ** GAMMA * entropy, known)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "bce": bce,
    "cross-entropy": bce,
    "bce-dice": bce_dice,
    "bce-dice-both": bce_dice_both,
    "focal": focal,
}


def loss_of(logits: Tensor, label: Tensor, loss: str, positive_weight: float = 1.0) -> Tensor:
    """The loss over known pixels; 0 where none is known."""
    return loss_over(logits, label[:, None], loss, positive_weight)


def loss_over(logits: Tensor, label: Tensor, loss: str, positive_weight: float = 1.0) -> Tensor:
    """EuroMineNet's multitemporal loss: the loss of each date, or of each pair, averaged. `logits`
    (N, K, H, W), `label` (N, K, H, W), K dates or pairs; those without a known pixel do not count."""
    known = label != UNKNOWN
    # In float32 under autocast too: sums over many pixels.
    each = LOSSES[loss](logits.float(), (label == 1).float(), known, positive_weight)
    counted = known.any(dim=(0, 2, 3))
    return (each * counted).sum() / counted.sum().clamp(min=1)
