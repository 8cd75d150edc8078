"""TinyCD (Codegoni, Lombardi and Ferrari 2022, arXiv 2207.13159, figures 1 to 3): the first stages of
EfficientNet-B4, cheap grouped convolutions that mix the two dates, and a decoder of masks.

The last activation of the paper is a sigmoid; here the logits are given instead.
"""

import re
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.base import Features, Siamese
from models.layers.efficientnet import first_three
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (AndreaCodegoni/Tiny_model_4_CD), as tuned for LEVIR-CD, without its random "
    "contrast",
    {"optimiser": "adamw", "learning_rate": 3.568e-3, "weight_decay": 9.45e-3, "batch": 8, "loss": "bce",
     "epochs": 100, "augment": ("flip", "rotate", "brightness", "blur"), "weights": "pretrained"},
)  # fmt: skip


def _pixelwise(found: re.Match[str]) -> str:
    """The published lists of (convolution, activation) as ours, in which they follow one another."""
    number, part = int(found["number"]), int(found["part"])
    if found["mask"] is None:
        return f"head.{2 * number + part}."
    whose = "image_mask" if found["mask"] == "_first_mix" else f"masks.{found['mask'][-1]}"
    return f"{whose}.mask.1." if (number, part) == (2, 1) else f"{whose}.mask.0.{2 * number + part}."


PUBLISHED = (
    (r"^_backbone\.", "backbone."),
    (r"^_first_mix\._mixing\._convmix\.", "image_mask.mixing.mix."),
    (r"^_mixing_mask\.2\.(?:_mixing\.)?_convmix\.", "deepest.mix."),  # whu_best.pth is the longer one
    (r"^_mixing_mask\.(\d)\._mixing\._convmix\.", r"masks.\1.mixing.mix."),
    (r"^(?:(?P<mask>_first_mix|_mixing_mask\.\d)\._linear|_classify)\._linears\.(?P<number>\d)\.(?P<part>\d)\.",
     _pixelwise),
    (r"^_up\.(\d)\._convolution\.", r"ups.\1.refine."),
)  # fmt: skip
TIMM = (
    (r"^conv_stem\.", "0.0."),
    (r"^bn1\.", "0.1."),
    (r"^blocks\.0\.(\d)\.conv_dw\.", r"1.\1.block.0.0."),
    (r"^blocks\.0\.(\d)\.bn1\.", r"1.\1.block.0.1."),
    (r"^blocks\.0\.(\d)\.se\.conv_reduce\.", r"1.\1.block.1.fc1."),
    (r"^blocks\.0\.(\d)\.se\.conv_expand\.", r"1.\1.block.1.fc2."),
    (r"^blocks\.0\.(\d)\.conv_pw\.", r"1.\1.block.2.0."),
    (r"^blocks\.0\.(\d)\.bn2\.", r"1.\1.block.2.1."),
    *(
        (rf"^blocks\.{stage}\.(\d)\.{theirs}\.", rf"{stage + 1}.\1.block.{ours}.")
        for stage in (1, 2)
        for theirs, ours in (
            ("conv_pw", "0.0"), ("bn1", "0.1"), ("conv_dw", "1.0"), ("bn2", "1.1"),
            (r"se\.conv_reduce", "2.fc1"), (r"se\.conv_expand", "2.fc2"), ("conv_pwl", "3.0"), ("bn3", "3.1"),
        )
    ),
)  # fmt: skip
"""torchvision's weights of EfficientNet-B4 under the names of timm, whose they are."""


class TinyCD(Siamese):
    """Sides of any length from 16 pixels up."""

    version = 2
    backbone_parts = ("backbone",)
    explained = ("ups.2", "ups.1", "ups.0")
    pretrained = "timm/efficientnet_b4.ra2_in1k"

    published = PUBLISHED
    backbone_published = TIMM

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = first_three(in_channels)
        self.image_mask = MixingMask(2 * in_channels, in_channels, (10, 5))
        self.masks = nn.ModuleList([MixingMask(48, 24, (12, 6)), MixingMask(64, 32, (16, 8))])
        self.deepest = Mixing(112, 56)
        self.ups = nn.ModuleList([UpMask(56, 64), UpMask(64, 64), UpMask(64, 32)])
        self.head = pixelwise((32, 16, 8, 1))

    def encode(self, image: Tensor) -> Features:
        levels = [image]
        x = self.backbone[0](image)
        for stage in self.backbone[1:]:
            x = stage(x)
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
