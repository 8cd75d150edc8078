"""SQNet (Treml et al. 2016, openreview S1uHiFyyg, figure 2): SqueezeNet's fire modules with ELU and no
batch norm, parallel dilated convolutions, and a decoder that refines with the encoder's levels.

Sizes are those of the code by which it is compared most (xiaoyufenfei/Efficient-Segmentation-Networks).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.initial import he_normal
from models.layers.resize import cut
from models.recipes import FOOTPRINTS, Recipe

RECIPE = Recipe(FOOTPRINTS.whose, {**FOOTPRINTS.settings, "weights": None})
FIRES = (((96, 16, 64), (128, 16, 64)), ((128, 32, 128), (256, 32, 128)),
         ((256, 64, 256), (512, 64, 256), (512, 64, 256)))  # fmt: skip
"""Channels before, squeezed, and of each half after."""
STEPS = ((512, 256), (512, 128), (256, 96))
FIRE = {"1": "squeeze", "2": "point", "3": "area"}
PUBLISHED: Names = (
    (r"^conv1\.", "first."),
    (r"^fire(\d)_(\d)\.conv([123])\.",
     lambda found: f"fires.{int(found[1]) - 1}.{int(found[2]) - 1}.{FIRE[found[3]]}."),
    (r"^parallel\.dilated_conv_(\d)\.", lambda found: f"parallel.{int(found[1]) - 1}."),
    (r"^deconv([123])\.", lambda found: f"decoders.{int(found[1]) - 1}.grow."),
    (r"^conv([123])_1\.", lambda found: f"decoders.{3 - int(found[1])}.skip."),
    (r"^conv([123])_2\.", lambda found: f"decoders.{3 - int(found[1])}.merge."),
    (r"^deconv4\.", "head."),
)  # fmt: skip
"""Names in checkpoints of that code."""


class SQNet(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("first", "fires")
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.first = nn.Conv2d(in_channels, 96, 3, stride=2, padding=1)
        self.fires = nn.ModuleList(nn.Sequential(*(Fire(*shape) for shape in level)) for level in FIRES)
        self.parallel = nn.ModuleList(nn.Conv2d(512, 512, 3, padding=by, dilation=by) for by in (1, 2, 3, 4))
        self.decoders = nn.ModuleList(Decoder(*step) for step in STEPS)
        self.head = _grow(192, 1)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        levels = [F.elu(self.first(x))]
        for fires in self.fires:
            levels.append(fires(F.max_pool2d(levels[-1], 2, ceil_mode=True)))
        y = torch.stack([F.elu(convolve(levels[-1])) for convolve in self.parallel]).sum(dim=0)
        for decoder, skip in zip(self.decoders, levels[-2::-1], strict=True):
            y = decoder(y, skip)
        return cut(self.head(y), x)


class Fire(nn.Module):
    """Fewer channels, then half of the new ones by pixel and half by window (SqueezeNet, Iandola et al. 2016,
    arXiv 1602.07360, figure 1)."""

    def __init__(self, before: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.point, self.area = nn.Conv2d(squeezed, half, 1), nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(self.squeeze(x))
        return F.elu(torch.cat([self.point(x), self.area(x)], dim=1))


class Decoder(nn.Module):
    """Twice the size, refined with the encoder's level."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.grow = _grow(before, after)
        self.skip = nn.Conv2d(after, after, 3, padding=1)
        self.merge = nn.Conv2d(2 * after, 2 * after, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        grown = cut(F.elu(self.grow(x)), skip)
        return F.elu(self.merge(torch.cat([F.elu(self.skip(skip)), grown], dim=1)))


def _grow(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)
