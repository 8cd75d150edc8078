"""USSFC-Net (Lei, Geng, Ning, Lv, Gong, Jin and Nandi 2023, doi 10.1109/TGRS.2023.3261273, figures 2 to 4): a
U-Net with an encoder for each date, whose convolutions see three scales at once and weigh each pixel of a
channel by how far it is from the channel's mean, without parameters.

Here as the published code has it: an encoder a date, not one for both.
"""

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import fitted
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (SUST-reynole/USSFC-Net)",
    {"optimiser": "adam", "learning_rate": 1e-4, "weight_decay": 5e-4, "schedule": "constant", "batch": 32,
     "loss": "bce", "epochs": 200, "augment": ()},
)  # fmt: skip
WIDTHS = (32, 64, 128, 256, 512)
DILATION = 3
INNER = (
    ("aux.0.prim_shift.", "far."), ("aux.0.prim.", "near."), ("aux.0.conv.", "dense."), ("aux.1.", "norm."),
)  # fmt: skip


def _block(found: re.Match[str]) -> str:
    part = found["part"]
    for theirs, ours in INNER:
        part = part.replace(theirs, ours)
    if found["up"]:
        return f"decoders.{5 - int(found['up'])}.merge.{part}"
    return f"encoders.{int(found['level']) - 1}.{int(found['date']) - 1}.{part}"


PUBLISHED: Names = (
    (r"^(?:Conv(?P<level>\d)_(?P<date>\d)|Up_conv(?P<up>\d))\.[Cc]onv\.(?P<part>.*)$", _block),
    (r"^Up(\d)\.", lambda found: f"decoders.{5 - int(found[1])}.up."),
    (r"^Conv_1x1\.", "head."),
)
"""Names in checkpoints of the published code."""


class USSFCNet(Model):
    """Sides of any length from 16 pixels up."""

    backbone_parts = ("encoders",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoders = nn.ModuleList(
            nn.ModuleList(_pair(before, after, plain=before == in_channels) for _ in range(2))
            for before, after in pairwise((in_channels, *WIDTHS))
        )
        self.decoders = nn.ModuleList(Up(deep, fine) for deep, fine in pairwise(reversed(WIDTHS)))
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        differences = []
        for level, encoders in enumerate(self.encoders):
            earlier, later = encoders.children()
            a, b = (F.max_pool2d(x, 2) if level else x for x in (a, b))
            a, b = earlier(a), later(b)
            differences.append((a - b).abs())
        x = differences[-1]
        for decoder, skip in zip(self.decoders, differences[-2::-1], strict=True):
            x = decoder(x, skip)
        return self.head(x)


class Up(nn.Module):
    """Twice the size, merged with the difference of the dates."""

    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep, fine, 2, stride=2)
        self.merge = _pair(deep, fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.merge(torch.cat([skip, fitted(self.up(x), skip)], dim=1))


def _pair(before: int, after: int, plain: bool = False) -> nn.Sequential:
    """Two convolutions, each with batch norm and ReLU: of one scale the `plain` ones, of several the
    others."""
    if plain:
        return nn.Sequential(*conv_bn_relu(before, after), *conv_bn_relu(after, after))
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [Scales(width, after), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Scales(nn.Module):
    """Half of the channels by a convolution of single pixels, the other half of three scales from those
    (figure 3): each channel by itself at two dilations, the farther one of its neighbour, and fours of
    channels together, of whose weights a part stays 0."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = after // 2
        self.native = conv_bn_relu(before, half, 1, bias=False)
        self.far, self.near = (
            nn.Conv2d(half, half, 3, padding=by, dilation=by, groups=half, bias=False)
            for by in (2 * DILATION, DILATION)
        )
        self.dense = Partial(half)
        self.norm = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        native = self.native(x)
        crossed = native.unflatten(1, (-1, 2, 2)).flip(2).flatten(1, 3)
        far = self.far(crossed)
        together = self.near(native) + self.dense(native) + far
        return torch.cat([native, _focused(F.relu(self.norm(together)))], dim=1)


class Partial(nn.Conv2d):
    """A convolution of fours of channels, of whose weights a part does not count and stays 0."""

    taken: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, padding=1, groups=width // 4, bias=False)
        self.register_buffer("taken", _taken(self.out_channels), persistent=False)
        with torch.no_grad():
            self.weight *= self.taken

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.taken, self.bias)


def _taken(width: int) -> Tensor:
    """Which weights (width, 4, 1, 1) of the dense convolution count: none where the dilated ones look, as the
    published code numbers its outputs."""
    groups, taken = width // 4, torch.ones(width, 4, 1, 1)
    for source in range(4):
        for group in range(groups):
            for target in (source, (source + 2) % 4):
                taken[target + group * groups : target + group * groups + 1, source] = 0
    return taken


def _focused(x: Tensor) -> Tensor:
    """Each pixel weighed by its squared distance from its channel's mean (equations 5 to 7)."""
    square = (x - x.mean(dim=(2, 3), keepdim=True)) ** 2
    spread = square.mean(dim=(2, 3), keepdim=True)
    return x * torch.sigmoid(square / (2 * spread + torch.finfo(torch.float32).eps) + 0.5)
