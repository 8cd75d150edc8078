"""The U-Net that the three models of Daudt, Le Saux and Boulch 2018 share (doi
10.1109/ICIP.2018.8451652, figure 1): they differ in where the dates meet."""

import re
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.resize import fitted

DEPTHS = (2, 2, 3, 3)
"""Convolutions in each level of the encoder; the decoder mirrors them."""


def _encoders(found: re.Match[str]) -> str:
    level, number, part = int(found["level"]), int(found["number"]), found["part"]
    return f"encoder.levels.{level - 1}.{4 * (number - 1) + (part == 'bn')}."


def _decoders(found: re.Match[str]) -> str:
    level, number, part = int(found["level"]), int(found["number"]), found["part"]
    return f"decoder.blocks.{4 - level}.{4 * (DEPTHS[level - 1] - number) + (part == 'bn')}."


def _as_convolution(weight: Tensor) -> Tensor:
    """A transposed convolution of stride 1, which the published decoder has, is a convolution the other way
    round."""
    return weight.transpose(0, 1).flip(2, 3) if weight.ndim == 4 else weight


PUBLISHED = (
    (r"^(?P<part>conv|bn)(?P<level>\d)(?P<number>\d)\.", _encoders),
    (r"^upconv(\d)\.", lambda found: f"decoder.ups.{4 - int(found[1])}."),
    (r"^conv11d\.", "head.", _as_convolution),
    (r"^(?P<part>conv|bn)(?P<level>\d)(?P<number>\d)d\.", _decoders, _as_convolution),
)
"""Names in checkpoints of the published code."""


class Encoder(nn.Module):
    """Features of four levels before pooling: (N, w, H, W), (N, 2w, H/2, W/2) to (N, 8w, H/8, W/8)."""

    def __init__(self, in_channels: int, width: int, dropout: float) -> None:
        super().__init__()
        widths = [in_channels, *(width * 2**level for level in range(4))]
        self.levels = nn.ModuleList(
            block([before] + [after] * depth, dropout)
            for (before, after), depth in zip(pairwise(widths), DEPTHS, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = []
        for level in self.levels:
            image = level(image)
            levels.append(image)
            image = F.max_pool2d(image, 2)
        return levels


class Decoder(nn.Module):
    """From the deepest features, pooled (N, 8w, H/16, W/16), and one skip a level to (N, w, H, W).

    `skips` is how many dates' features a level's skip holds side by side.
    """

    def __init__(self, width: int, skips: int, dropout: float) -> None:
        super().__init__()
        self.ups = nn.ModuleList()
        self.blocks = nn.ModuleList()
        for level in (3, 2, 1, 0):
            channels = width * 2**level
            after = [channels // 2] if level else []
            self.ups.append(nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1))
            steps = [(1 + skips) * channels] + [channels] * (DEPTHS[level] - 1)
            self.blocks.append(block(steps + after, dropout))

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for up, merge, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = merge(torch.cat([fitted(cast(Tensor, up(x)), skip), skip], dim=1))
        return x


def block(widths: list[int], dropout: float) -> nn.Sequential:
    """3x3 convolutions, each with batch norm, ReLU and dropout."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Dropout2d(dropout),
        ]
    return nn.Sequential(*layers)
