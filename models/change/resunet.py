"""ResUNet (Zhang, Liu and Wang 2018, arXiv 1711.10684, figure 2) over both dates, as MineNetCD's authors
compare it (their UCD framework): the earlier date's deepest features are decoded, and the skips are the
absolute differences."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.base import Features, Names, Siamese
from models.layers.convolutions import conv_bn
from models.layers.resize import fitted
from models.recipes import UCD

RECIPE = UCD
WIDTHS = (32, 64, 128, 256, 512)
PUBLISHED: Names = (
    (r"^input_layer\.", "first."),
    (r"^input_skip\.0\.", "first_skip."),
    (r"^residual_conv_(\d)\.", lambda found: f"encoders.{int(found[1]) - 1}."),
    (r"^bridge\.", "encoders.3."),
    (r"^upsample_(\d)\.upsample\.", lambda found: f"decoders.{int(found[1]) - 1}.up."),
    (r"^up_residual_conv([1-4])\.", lambda found: f"decoders.{int(found[1]) - 1}.merge."),
    (r"^up_residual_conv5\.", "last."),
    (r"^output_layer\.0\.", "head."),
)
"""Names in checkpoints of UCD."""


class ResUNet(Siamese):
    """Sides of any length from 16 pixels up. Not symmetric: the deepest features are the earlier date's."""

    backbone_parts = ("first", "first_skip", "encoders")
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.first = conv_bn(in_channels, WIDTHS[0]).extend(
            [nn.ReLU(), nn.Conv2d(WIDTHS[0], WIDTHS[0], 3, padding=1)]
        )
        self.first_skip = nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1)
        self.encoders = nn.ModuleList(Residual(before, after, 2) for before, after in pairwise(WIDTHS))
        down = pairwise(reversed(WIDTHS))
        self.decoders = nn.ModuleList(Up(deep, fine) for deep, fine in down)
        self.last = Residual(WIDTHS[0], WIDTHS[0])
        # Of two classes, as published: each has its own batch norm, so that one alone would be another head.
        self.head = Residual(WIDTHS[0], 2)

    def encode(self, image: Tensor) -> Features:
        levels = [self.first(image) + self.first_skip(image)]
        for encoder in self.encoders:
            levels.append(encoder(levels[-1]))
        return levels

    def decode(self, a: Features, b: Features) -> Tensor:
        x = a[-1]
        for decoder, first, second in zip(self.decoders, a[-2::-1], b[-2::-1], strict=True):
            x = decoder(x, (first - second).abs())
        unchanged, changed = self.head(self.last(x)).chunk(2, dim=1)
        return changed - unchanged


class Up(nn.Module):
    """Twice the size, merged with the difference of the dates."""

    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep, deep, 2, stride=2)
        self.merge = Residual(deep + fine, fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.merge(torch.cat([fitted(self.up(x), skip), skip], dim=1))


class Residual(nn.Module):
    """Batch norm and ReLU before each of two convolutions, and a convolved shortcut (figure 1b)."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.ReLU(),
            nn.Conv2d(before, after, 3, stride, 1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1),
        )
        self.conv_skip = conv_bn(before, after, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x) + self.conv_skip(x)
