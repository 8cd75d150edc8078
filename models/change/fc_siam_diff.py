"""FC-Siam-diff (Daudt, Le Saux and Boulch 2018, doi 10.1109/ICIP.2018.8451652, figure 1c).

One encoder sees both dates; the decoder takes the deepest features of the later date and, at each
level, the absolute difference of the two dates' features.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS = (2, 2, 3, 3)
"""Convolutions in each level of the encoder; the decoder mirrors them."""


class FCSiamDiff(nn.Module):
    """Logits (N, 1, H, W) from two images (N, C, H, W); H and W of any size from 16 up.

    `width` is the number of channels of the first level, 16 in the paper, doubling at each level.
    """

    def __init__(self, in_channels: int, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.encoders = nn.ModuleList()
        before = in_channels
        for channels, depth in zip(widths, DEPTHS, strict=True):
            self.encoders.append(_block([before] + [channels] * depth, dropout))
            before = channels
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for level in (3, 2, 1, 0):
            channels = widths[level]
            after = widths[level - 1] if level else width
            self.ups.append(nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1))
            steps = [2 * channels] + [channels] * (DEPTHS[level] - 1) + [after]
            self.decoders.append(_block(steps if level else steps[:-1], dropout))
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        both = self.encode(torch.cat([a, b]))
        return self.decode(*zip(*(level.chunk(2) for level in both), strict=True))

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of four levels, (N, w, H, W) to (N, 8w, H/8, W/8), before pooling."""
        levels = []
        for encoder in self.encoders:
            image = encoder(image)
            levels.append(image)
            image = F.max_pool2d(image, 2)
        return levels

    def decode(self, a: tuple[Tensor, ...] | list[Tensor], b: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
        x = F.max_pool2d(b[-1], 2)
        for up, decoder, first, second in zip(self.ups, self.decoders, reversed(a), reversed(b), strict=True):
            x = _fitted(cast(Tensor, up(x)), first)
            x = decoder(torch.cat([x, (first - second).abs()], dim=1))
        return self.head(x)


def _block(widths: list[int], dropout: float) -> nn.Sequential:
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


def _fitted(x: Tensor, like: Tensor) -> Tensor:
    """Grow `x` to the size of `like` where pooling rounded an odd side down."""
    down, right = like.shape[-2] - x.shape[-2], like.shape[-1] - x.shape[-1]
    return F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x
