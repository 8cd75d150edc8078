"""A2Net (Li, Tang, Liu, Zhang, Dou, Wang and Li 2023, doi 10.1109/TGRS.2023.3241436, figures 2 to 5): a
MobileNetV2, neighbouring levels merged for each date, differences seen through growing windows, and a
decoder that attends to what it already takes for change. All four levels are supervised."""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.convolutions import conv_bn, conv_bn_relu
from models.layers.mobilenet_v2 import CHANNELS, TIMM, MobileNetV2
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (guanyuezhen/A2Net); it cuts up to 3 % off each side of half of the pairs, "
    "`scale-crop` up to a sixth of the side of all",
    {"optimiser": "adam", "learning_rate": 5e-4, "betas": (0.9, 0.99), "weight_decay": 1e-4,
     "schedule": "polynomial", "warmup_steps": 200, "batch": 32, "loss": "bce-dice", "steps": 40_000,
     "augment": ("flip", "scale-crop", "swap"), "weights": "pretrained"},
)  # fmt: skip
WIDTH = 64


def _source(found: re.Match[str]) -> str:
    """What comes from a finer level is pooled first there, so that its parts are numbered one higher."""
    level, source, part = (int(found[i]) for i in (1, 2, 3))
    return f"merging.{level - 2}.sources.{source - max(level - 1, 2)}.{part - (source < level)}."


PUBLISHED: Names = (
    (r"^swa\.conv_scale(\d)_c(\d)\.(\d)\.", _source),
    (r"^swa\.conv_aggregation_s(\d)\.conv_(fuse|identity)\.",
     lambda found: f"merging.{int(found[1]) - 2}.{found[2]}."),
    (r"^tfm\.tffm_x(\d)\.conv_branch1\.", lambda found: f"differences.{int(found[1]) - 2}.first."),
    (r"^tfm\.tffm_x(\d)\.conv_branch5\.", lambda found: f"differences.{int(found[1]) - 2}.identity."),
    (r"^tfm\.tffm_x(\d)\.conv_branch(\d)_f\.",
     lambda found: f"differences.{int(found[1]) - 2}.closer.{int(found[2]) - 2}.window."),
    (r"^tfm\.tffm_x(\d)\.conv_branch(\d)\.",
     lambda found: f"differences.{int(found[1]) - 2}.closer.{int(found[2]) - 2}.identity."),
    (r"^decoder\.sam_p(\d)\.cls\.", lambda found: f"decoder.{5 - int(found[1])}.side."),
    (r"^decoder\.sam_p(\d)\.conv_context\.", lambda found: f"decoder.{5 - int(found[1])}.context."),
    (r"^decoder\.sam_p(\d)\.conv2\.", lambda found: f"decoder.{5 - int(found[1])}.attended."),
    (r"^decoder\.conv_p(\d)\.", lambda found: f"decoder.{4 - int(found[1])}.merge."),
    (r"^decoder\.cls\.", "head."),
)  # fmt: skip
"""Names in checkpoints of the published code."""


class A2Net(Siamese):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone",)
    published = PUBLISHED
    pretrained = "timm/mobilenetv2_100.ra_in1k"
    backbone_published = TIMM

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = MobileNetV2(in_channels)
        self.merging = nn.ModuleList(Merging(level) for level in range(4))
        self.differences = nn.ModuleList(Difference() for _ in range(4))
        self.decoder = nn.ModuleList(Refinement() for _ in range(3))
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def encode(self, image: Tensor) -> Features:
        levels = self.backbone(image)[1:]
        # The last one only carries the image's size.
        return [*(merge(levels) for merge in self.merging), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return self._maps(a, b)[0]

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        return [(1.0, logits) for logits in self._maps(a, b)]

    def _maps(self, a: Features, b: Features) -> list[Tensor]:
        """Logits of the four levels at the image's size, finest first."""
        levels = [difference((x - y).abs()) for difference, x, y in zip(self.differences, a, b, strict=False)]
        x, maps = levels[-1], []
        for refine, finer in zip(self.decoder, levels[-2::-1], strict=True):
            x, side = refine(x, finer)
            maps.append(side)
        return [resized(logits, a[-1]) for logits in (self.head(x), *reversed(maps))]


class Merging(nn.Module):
    """A level of the backbone with its finer and its coarser neighbour (figure 3)."""

    def __init__(self, level: int) -> None:
        super().__init__()
        widths = CHANNELS[1:]
        self.level, self.near = level, range(max(level - 1, 0), min(level + 2, len(widths)))
        half = WIDTH // 2
        self.sources = nn.ModuleList(conv_bn_relu(widths[source], half) for source in self.near)
        self.fuse = conv_bn_relu(len(self.near) * half, WIDTH).extend(conv_bn(WIDTH, WIDTH))
        self.identity = nn.Conv2d(widths[level], WIDTH, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        own = levels[self.level]
        found = []
        for source, convolve in zip(self.near, self.sources, strict=True):
            x = levels[source]
            x = convolve(F.max_pool2d(x, 2, ceil_mode=True) if source < self.level else x)
            found.append(resized(x, own))
        return F.relu(self.fuse(torch.cat(found, dim=1)) + self.identity(own))


class Difference(nn.Module):
    """The absolute difference through ever smaller windows (figure 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv_bn(WIDTH, WIDTH, dilation=7)
        self.closer = nn.ModuleList(Closer(dilation) for dilation in (5, 3, 1))
        self.identity = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, differing: Tensor) -> Tensor:
        x = self.first(differing)
        for step in self.closer:
            x = step(differing, x)
        return F.relu(self.identity(differing) + x)


class Closer(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.identity = nn.Conv2d(WIDTH, WIDTH, 1)
        self.window = conv_bn(WIDTH, WIDTH, dilation=dilation)

    def forward(self, differing: Tensor, wider: Tensor) -> Tensor:
        return self.window(F.relu(self.identity(differing) + wider))


class Refinement(nn.Module):
    """A level weighed by its own map of change, and added to the finer one (figure 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Conv2d(WIDTH, 1, 1)
        self.context = conv_bn_relu(2, WIDTH, 1)
        self.attended = conv_bn_relu(WIDTH, WIDTH)
        self.merge = conv_bn_relu(WIDTH, WIDTH)

    def forward(self, x: Tensor, finer: Tensor) -> tuple[Tensor, Tensor]:
        side = self.side(x)
        changed = side.sigmoid()
        x = self.attended(x * self.context(torch.cat([changed, 1 - changed], dim=1)))
        return self.merge(finer + resized(x, finer)), side
