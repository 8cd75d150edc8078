"""TinyCD (Codegoni, Lombardi and Ferrari 2022, arXiv 2207.13159, figures 1 to 3): the first stages of
EfficientNet-B4, cheap grouped convolutions that mix the two dates, and a decoder of masks.

The last activation of the paper is a sigmoid; here the logits are given instead.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers import EfficientNetConfig, EfficientNetModel

from models.base import Features, Siamese
from models.layers.resize import resized

RECIPE = {
    "optimiser": "adamw",
    "learning_rate": 3e-3,
    "weight_decay": 9e-3,
    "batch": 16,
    "loss": "bce",
    "patience": 10,
    "augment": ("flip", "noise", "affine", "swap"),
}
ENDS = (2, 6, 10)
"""Where the first three stages of EfficientNet-B4 end in its blocks."""


class TinyCD(Siamese):
    """Sides of any length from 16 pixels up."""

    backbone_parts = ("stem", "blocks")
    explained = ("ups.2", "ups.1", "ups.0")
    pretrained = "google/efficientnet-b4"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        whole = EfficientNetModel(
            EfficientNetConfig(num_channels=in_channels, width_coefficient=1.4, depth_coefficient=1.8)
        )
        self.stem = whole.embeddings  # 48 channels at 1/2
        # 24 channels at 1/2, 32 at 1/4, 56 at 1/8
        self.blocks = nn.ModuleList(whole.encoder.blocks[: ENDS[-1]])
        self.image_mask = MixingMask(2 * in_channels, in_channels, (10, 5))
        self.masks = nn.ModuleList([MixingMask(48, 24, (12, 6)), MixingMask(64, 32, (16, 8))])
        self.deepest = Mixing(112, 56)
        self.ups = nn.ModuleList([UpMask(56, 64), UpMask(64, 64), UpMask(64, 32)])
        self.head = pixelwise((32, 16, 8, 1))

    def encode(self, image: Tensor) -> Features:
        levels = [image]
        x = self.stem(image)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in ENDS:
                levels.append(x)
        return levels

    def decode(self, a: Features, b: Features) -> Tensor:
        masks = [
            self.image_mask(a[0], b[0]),
            *(mask(x, y) for mask, x, y in zip(self.masks, a[1:3], b[1:3], strict=True)),
        ]
        x = self.deepest(a[3], b[3])
        for up, mask in zip(self.ups, reversed(masks), strict=True):
            x = up(x, mask)
        return self.head(x)


class Mixing(nn.Module):
    """Channels of both dates interleaved, then a convolution over each pair of them (equation 1)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, groups=after), nn.PReLU(), nn.InstanceNorm2d(after)
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.mix(torch.stack([a, b], dim=2).flatten(1, 2))


class MixingMask(nn.Module):
    """A mask (N, 1, h, w) from the mixed dates, pixel by pixel."""

    def __init__(self, before: int, after: int, between: tuple[int, ...]) -> None:
        super().__init__()
        self.mixing = Mixing(before, after)
        self.mask = nn.Sequential(pixelwise((after, *between, 1)), nn.PReLU())

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.mask(self.mixing(a, b))


class UpMask(nn.Module):
    """Enlarges to the mask's size, multiplies by it, and refines."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            nn.Conv2d(before, before, 3, padding=1, groups=before),
            nn.PReLU(),
            nn.InstanceNorm2d(before),
            nn.Conv2d(before, after, 1),
            nn.PReLU(),
            nn.InstanceNorm2d(after),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.refine(resized(x, mask, align_corners=True) * mask)


def pixelwise(widths: tuple[int, ...]) -> nn.Sequential:
    """1x1 convolutions with PReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 1), nn.PReLU()]
    return nn.Sequential(*layers[:-1])
