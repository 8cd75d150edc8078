"""U-Net (Ronneberger, Fischer and Brox 2015, arXiv 1505.04597, figure 1), with padding and batch
norm as is usual today, so that the logits have the image's size."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model
from models.layers.resize import fitted
from models.recipes import FOOTPRINTS, Recipe

RECIPE = Recipe(FOOTPRINTS.whose, {**FOOTPRINTS.settings, "weights": None})


class UNet(Model):
    """Sides of any length from 16 pixels up. `width`: channels of the first level, 64 in the paper,
    doubling down to the fifth."""

    backbone_parts = ("encoders",)

    def __init__(self, in_channels: int, width: int = 64) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [width * 2**level for level in range(5)]
        inputs = [in_channels, *widths[:-1]]
        self.encoders = nn.ModuleList(_block(a, b) for a, b in zip(inputs, widths, strict=True))
        down = list(reversed(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairwise(down))
        self.decoders = nn.ModuleList(_block(2 * b, b) for b in down[1:])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips[:-1]), strict=True):
            x = decoder(torch.cat([skip, fitted(up(x), skip)], dim=1))
        return self.head(x)


def _block(before: int, after: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for a, b in ((before, after), (after, after)):
        layers += [
            nn.Conv2d(a, b, 3, padding=1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
