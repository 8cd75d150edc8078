"""The Siamese network that MSPSNet and HANet share: an encoder of four sizes, both dates side by side through
convolutions of four dilations on each, attention, and the levels joined from the deepest up.

They differ in the attention, which is `attend(width)`.
"""

import re
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.initial import he_normal
from models.layers.resize import resized

WIDTHS = (40, 80, 160, 320)
DILATIONS = (1, 2, 3, 4)
CELLS = {"0": 0, "2": 1, "4": 2, "5": 3}


def _cell(found: re.Match[str]) -> str:
    return f"cells.{CELLS[found[1]]}.{found[2]}."


PUBLISHED: Names = (
    (r"^conv0_0\.", "first."),
    (r"^conv6_(\d)_(\d)\.", lambda found: f"meet.{4 - int(found[1])}.parallel.{int(found[2]) - 1}."),
    (r"^conv(\d)_1\.", lambda found: f"meet.{4 - int(found[1])}.join."),
    (r"^conv([0245])\.(conv1|bn1|conv2|bn2)\.", _cell),
    (r"^cam_attention_(\d)\.attn\.", lambda found: f"meet.{4 - int(found[1])}.attend.channels."),
    (r"^conv6\.", "fuse."),
    (r"^conv7\.", "head."),
)
"""Names in checkpoints of the published codes."""


class Multiscale(Siamese):
    """Sides of any length from 16 pixels up."""

    backbone_parts = ("first", "cells")
    published = PUBLISHED

    def __init__(self, in_channels: int, attend: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.first = nn.Conv2d(in_channels, WIDTHS[0], 5, padding=2)
        self.cells = nn.ModuleList(Cell(before, after) for before, after in pairwise((WIDTHS[0], *WIDTHS)))
        self.meet = nn.ModuleList(Meeting(width, attend(width)) for width in reversed(WIDTHS))
        self.fuse = nn.Conv2d(sum(WIDTHS), WIDTHS[1], 1)
        self.head = nn.Conv2d(WIDTHS[1], 1, 3, padding=1, bias=False)
        he_normal(self, "fan_out")

    def encode(self, image: Tensor) -> Features:
        x, levels = self.first(image), []
        for number, cell in enumerate(self.cells):
            x = cell(F.avg_pool2d(x, 2, ceil_mode=True) if number else x)
            levels.append(x)
        return levels[::-1]

    def decode(self, a: Features, b: Features) -> Tensor:
        joined: Tensor | None = None
        for meet, x, y in zip(self.meet, a, b, strict=True):
            level = meet(torch.cat([x, y], dim=1))
            joined = level if joined is None else torch.cat([level, resized(joined, level)], dim=1)
        return self.head(self.fuse(joined))


class Cell(nn.Module):
    """Two convolutions, the first one's output added to the second's."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 1, bias=False), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(x)))))


class Meeting(nn.Module):
    """Both dates through grouped convolutions of four dilations, side by side, and attention."""

    def __init__(self, width: int, attend: nn.Module) -> None:
        super().__init__()
        self.parallel = nn.ModuleList(
            nn.Conv2d(2 * width, width, 3, padding=by, dilation=by, groups=width // 2) for by in DILATIONS
        )
        self.join = nn.Conv2d(4 * width, width, 1)
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(self.join(torch.cat([convolve(x) for convolve in self.parallel], dim=1)))


class SelfAttention(nn.Module):
    """Attention between 32 channels, between two convolutions (DANet's, Fu et al. 2019, arXiv 1809.02983,
    figure 3b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = nn.Sequential(
            nn.Conv2d(width, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.PReLU(),
            BetweenChannels(),
            nn.Conv2d(32, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.PReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.channels(x)


class BetweenChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        energy = flat @ flat.mT
        # The less alike two channels are, the more one is told of the other, as published.
        weight = (energy.amax(dim=-1, keepdim=True) - energy).softmax(dim=-1)
        return self.gamma * (weight @ flat).view(x.shape) + x
