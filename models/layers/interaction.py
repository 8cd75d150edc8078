"""What DMINet and ICIFNet, of the same authors, share: the merging of levels and the maps at their ends."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.convolutions import conv_bn
from models.layers.resize import resized


class Aggregation(nn.Module):
    """A fine level with a coarse one: each multiplied by the other's convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_coarse, self.of_fine = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.merge = conv_bn(2 * width, width)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        weight = resized(self.of_coarse(coarse), fine)
        products = [F.relu(self.of_fine(fine) * resized(coarse, fine)), F.relu(weight * fine)]
        return F.relu(self.merge(torch.cat(products, dim=1)))


def map_of(before: int, width: int) -> nn.Sequential:
    """One logit a pixel."""
    return nn.Sequential(*conv_bn(before, width), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))
