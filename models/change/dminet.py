"""DMINet (Feng, Jiang, Xu and Zheng 2023, doi 10.1109/TGRS.2023.3241257, figures 2 to 4): a ResNet-18 to
1/16, attention with the queries of both dates together on three levels, and two branches over the levels,
one of what the dates share joined and one of their differences. The logits are the sum of both."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.backbones import resnet18, torchvision_resnet
from models.layers.convolutions import conv_bn_relu
from models.layers.initial import he_normal
from models.layers.interaction import Step, branch_names, map_names, map_of
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (ZhengJianwei2/DMINet)",
    {"optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "linear",
     "batch": 8, "loss": "cross-entropy", "epochs": 200, "augment": ("flip", "scale-crop", "blur"),
     "weights": "pretrained"},
)  # fmt: skip
CHANNELS = (256, 128, 64)
"""Of the levels, deepest first."""
MIDDLE = 0.5
"""Weight of the maps of the branches' middle."""
PUBLISHED: Names = (
    *torchvision_resnet(r"resnet\.", "backbone."),
    (r"^cross(\d)\.(query|key|value)([12])\.",
     lambda found: f"meet.{int(found[1]) - 2}.{'earlier' if found[3] == '1' else 'later'}.{found[2]}."),
    (r"^cross(\d)\.gamma$", lambda found: f"meet.{int(found[1]) - 2}.gamma"),
    (r"^cross(\d)\.conv_cat\.", lambda found: f"meet.{int(found[1]) - 2}.join."),
    *branch_names("Translayer2_1", "fam32_1", "joined.0"),
    *branch_names("Translayer3_1", "fam43_1", "joined.1"),
    *branch_names("Translayer2_2", "fam32_2", "differing.0"),
    *branch_names("Translayer3_2", "fam43_2", "differing.1"),
    *map_names("final", "maps.0"),
    *map_names("final2", "maps.1"),
    *map_names("final_2", "middle.0"),
    *map_names("final2_2", "middle.1"),
)  # fmt: skip
"""Names in checkpoints of the published code."""


class DMINet(Siamese):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone",)
    head_parts = ("maps",)
    explained = ("joined.1.aggregate", "differing.1.aggregate")
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")
    pretrained = "microsoft/resnet-18"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = resnet18(in_channels, stages=3)
        self.meet = nn.ModuleList(Meeting(width) for width in CHANNELS)
        self.joined = nn.ModuleList(Step(2 * width, width) for width in CHANNELS[1:])
        self.differing = nn.ModuleList(Step(2 * width, width) for width in CHANNELS[1:])
        self.maps = nn.ModuleList(map_of(64, 32) for _ in range(2))
        self.middle = nn.ModuleList(map_of(128, 32) for _ in range(2))
        for part in (self.meet, self.joined, self.differing, self.maps, self.middle):
            he_normal(part)

    def encode(self, image: Tensor) -> Features:
        # The last one only carries the image's size.
        return [*reversed(self.backbone(image).feature_maps), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return torch.stack(self._maps(self._branches(a, b), a[-1], 1)).sum(dim=0)

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        levels = self._branches(a, b)
        return [
            *((1.0, logits) for logits in self._maps(levels, a[-1], 1)),
            *((MIDDLE, logits) for logits in self._maps(levels, a[-1], 0)),
        ]

    def _branches(self, a: Features, b: Features) -> list[list[Tensor]]:
        """The joined and the differing branch, each at 1/8 and at 1/4."""
        joined, differing = [], []
        for meet, x, y in zip(self.meet, a, b, strict=False):
            together, x, y = meet(x, y)
            joined.append(together)
            differing.append((x - y).abs())
        return [_through(self.joined, joined), _through(self.differing, differing)]

    def _maps(self, levels: list[list[Tensor]], image: Tensor, level: int) -> list[Tensor]:
        maps = self.maps if level else self.middle
        return [
            convolve(resized(branch[level], image)) for convolve, branch in zip(maps, levels, strict=True)
        ]


def _through(steps: nn.ModuleList, levels: list[Tensor]) -> list[Tensor]:
    x, found = levels[0], []
    for step, finer in zip(steps, levels[1:], strict=True):
        x = step(finer, x)
        found.append(x)
    return found


class Meeting(nn.Module):
    """Each date attends to itself, asked by both dates (figure 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.earlier, self.later = (
            nn.ModuleDict(
                {
                    "query": nn.Conv2d(width, width // 8, 1),
                    "key": nn.Conv2d(width, width // 4, 1),
                    "value": nn.Conv2d(width, width, 1),
                }
            )
            for _ in range(2)
        )
        self.gamma = nn.Parameter(torch.zeros(1))
        self.join = conv_bn_relu(2 * width, width, bias=False)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        of_a, of_b = (
            [part(x) for part in parts.values()] for x, parts in ((a, self.earlier), (b, self.later))
        )
        query = torch.cat([of_a[0], of_b[0]], dim=1)
        a = a + self.gamma * _attended(query, *of_a[1:])
        b = b + self.gamma * _attended(query, *of_b[1:])
        return self.join(torch.cat([a, b], dim=1)), a, b


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Values (N, C, H, W) summed over all pixels, by how well their keys fit; not scaled, as published."""
    q, k, v = (x.flatten(2).mT for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, scale=1.0).mT.view(value.shape)
