"""What a model must beat: rules with nothing learnt, scored beside it on the same pixels.

The index's threshold is the best one for the very pixels it is scored on, which no honest user could
know: a ceiling, so that beating it means something. Rules for change, with a threshold from the training
split, are models: `cva` and `ir-mad`.
"""

import torch
from torch import Tensor

from minebench.metrics.confusion import Confusion, scores


def bareness(images: Tensor, red: int, nir: int) -> Tensor:
    """1 - NDVI, over bands in reflectance (or any one unit): (N, C, H, W) to (N, H, W) in 0..2."""
    total = images[:, nir] + images[:, red]
    return 1 - torch.where(total > 0, (images[:, nir] - images[:, red]) / total, 0)


def all_background(counts: Confusion) -> dict[str, float]:
    """Scores of never predicting anything, on the pixels that `counts` are of."""
    return scores(Confusion(0, 0, counts.tp + counts.fn, counts.tn + counts.fp))
