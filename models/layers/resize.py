"""Changing the size of feature maps."""

from torch import Tensor
from torch.nn import functional as F


def resized(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """`x` (N, C, h, w) at the height and width of `like`, bilinear."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)


def fitted(x: Tensor, like: Tensor) -> Tensor:
    """Grow `x` by a row or column to the size of `like`, where pooling rounded an odd side down."""
    down, right = like.shape[-2] - x.shape[-2], like.shape[-1] - x.shape[-1]
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x


def cut(x: Tensor, like: Tensor) -> Tensor:
    """`x` without the last row and column where a doubled size is one more than that of `like`."""
    return x[..., : like.shape[-2], : like.shape[-1]]
