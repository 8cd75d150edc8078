"""FCN-PP (Lei, Zhang, Lv, Li, Liu and Nandi 2019, doi 10.1109/LGRS.2018.2889307), as MineNetCD's authors
compare it (their UCD framework): a U-Net over both dates stacked, three dilated convolutions a level, with
atrous pyramid pooling at its deepest in the place of the paper's pyramid pooling."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import resized
from models.recipes import UCD, Recipe

RECIPE = Recipe(UCD.whose, {**UCD.settings, "loss": "bce"})
WIDTHS = (64, 128, 256, 512)
DILATIONS = (6, 12, 18)
PLACES = {"conv": 0, "bn": 1}
SEPARABLE = {"depthwise": 0, "bn_depth": 1, "pointwise": 3, "bn_point": 4}
PUBLISHED: Names = (
    (r"^inc\.double_conv\.", "encoders.0."),
    (r"^down(\d)\.maxpool_conv\.1\.double_conv\.", r"encoders.\1."),
    (r"^aspp\.image_pooling\.(conv|bn)\.", lambda found: f"pyramid.whole.{PLACES[found[1]]}."),
    (r"^aspp\.aspp0\.(conv|bn)\.", lambda found: f"pyramid.branches.0.{PLACES[found[1]]}."),
    (r"^aspp\.aspp(\d)\.block\.(\w+)\.", lambda found: f"pyramid.branches.{found[1]}.{SEPARABLE[found[2]]}."),
    (r"^aspp\.(conv|bn)\.", lambda found: f"pyramid.join.{PLACES[found[1]]}."),
    (r"^up(\d)\.conv\.double_conv\.", lambda found: f"decoders.{int(found[1]) - 1}."),
    (r"^outc\.conv\.", "head."),
)
"""Names in checkpoints of UCD."""


class FCNPP(Model):
    """Sides of any length from 16 pixels up."""

    backbone_parts = ("encoders",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoders = nn.ModuleList(_block(a, b) for a, b in pairwise((2 * in_channels, *WIDTHS)))
        self.pyramid = Pyramid(WIDTHS[-1], WIDTHS[-1])
        # The deepest level comes twice, as published: before the pyramid and after it.
        steps = ((1024, 256), (512, 128), (256, 64), (128, 64))
        self.decoders = nn.ModuleList(_block(before, after) for before, after in steps)
        self.head = nn.Conv2d(64, 1, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        x, levels = torch.cat([a, b], dim=1), []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool2d(x, 2) if level else x)
            levels.append(x)
        x = self.pyramid(x)
        for decoder, skip in zip(self.decoders, reversed(levels), strict=True):
            x = decoder(torch.cat([skip, _grown(x, skip)], dim=1))
        return self.head(x)


def _grown(x: Tensor, like: Tensor) -> Tensor:
    """Twice the size, then cut or filled around to that of `like`. As published, the deepest level too, which
    has it already: its middle is left."""
    x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
    down, right = like.shape[-2] - x.shape[-2], like.shape[-1] - x.shape[-1]
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))


def _block(before: int, after: int) -> nn.Sequential:
    widths = ((before, after), (after, after), (after, after))
    blocks = [conv_bn_relu(a, b, dilation=number) for number, (a, b) in enumerate(widths, start=1)]
    return nn.Sequential(*(layer for block in blocks for layer in block))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2018, arXiv 1802.02611, figure 2) with separable
    convolutions."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.whole = conv_bn_relu(before, after, 1, bias=False)
        self.branches = nn.ModuleList([conv_bn_relu(before, after, 1, bias=False)])
        self.branches.extend(_separable(before, after, dilation) for dilation in DILATIONS)
        self.join = conv_bn_relu(5 * after, after, 1, bias=False).append(nn.Dropout2d(0.1))

    def forward(self, x: Tensor) -> Tensor:
        whole = resized(self.whole(x.mean(dim=(2, 3), keepdim=True)), x, align_corners=True)
        return self.join(torch.cat([whole, *(branch(x) for branch in self.branches)], dim=1))


def _separable(before: int, after: int, dilation: int) -> nn.Sequential:
    depthwise = conv_bn_relu(before, before, dilation=dilation, groups=before, bias=False)
    return nn.Sequential(*depthwise, *conv_bn_relu(before, after, 1, bias=False))
