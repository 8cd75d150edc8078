"""What DMINet and ICIFNet, of the same authors, share: the merging of levels and the maps at their ends."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Names
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


class Step(nn.Module):
    """From a level of `before` channels to the next finer one of `width`."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.reduce = conv_bn(before, width, 1, bias=False)
        self.aggregate = Aggregation(width)

    def forward(self, finer: Tensor, x: Tensor) -> Tensor:
        return self.aggregate(finer, self.reduce(x))


def branch_names(translayer: str, fam: str, ours: str) -> Names:
    """Names of a step in the published checkpoints."""
    decode = (("conv_d1", "of_coarse"), ("conv_l", "of_fine"), ("conv3", "merge.0"), ("bn3", "merge.1"))
    return (
        (rf"^{translayer}\.conv\.", f"{ours}.reduce.0."),
        (rf"^{translayer}\.bn\.", f"{ours}.reduce.1."),
        *((rf"^{fam}\.{theirs}\.", f"{ours}.aggregate.{own}.") for theirs, own in decode),
    )


def map_names(theirs: str, ours: str) -> Names:
    """Names of a map's convolutions in the published checkpoints."""
    return tuple(
        (rf"^{theirs}\.{number}\.{kind}\.", f"{ours}.{place}.")
        for number, kind, place in ((0, "conv", 0), (0, "bn", 1), (1, "conv", 3))
    )


def map_of(before: int, width: int) -> nn.Sequential:
    """One logit a pixel."""
    return nn.Sequential(*conv_bn(before, width), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))
