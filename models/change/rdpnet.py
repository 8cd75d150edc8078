"""RDPNet (Chen, Pu, Yang, Tang and Xu 2022, arXiv 2202.09745, figures 2 and 3): both dates cut into patches
of 8 pixels, six mixing layers that never lose that size, each enlarged to the image's, and a weight a
channel."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.switchable import SwitchableNorm
from models.recipes import UCD, Recipe

RECIPE = Recipe(
    "MineNetCD's authors (EricYu97/UCD): the authors' repository has no training, and their edge loss is "
    "not here",
    UCD.settings,
)
PATCH, WIDTH, DEPTH, MIXERS = 8, 384, 32, 6
MIXER = {"depthconv": "depthwise", "gn1": "first_norm", "pointconv": "pointwise", "gn2": "second_norm"}
PUBLISHED: Names = (
    (r"^patchEmb\.", "patches.0."),
    (r"^gn1\.", "patches.1."),
    (r"^mixer(\d)\.(\w+)\.", lambda found: f"mixers.{int(found[1]) - 1}.{MIXER[found[2]]}."),
    (r"^ch(\d)\.layer1\.", lambda found: f"mixers.{int(found[1]) - 1}.out."),
    (r"^ch(\d)\.patchup\.", lambda found: f"mixers.{int(found[1]) - 1}.out.3."),
    (r"^ch(\d)\.bn2\.", lambda found: f"mixers.{int(found[1]) - 1}.out.4."),
    (r"^weight$", "importance"),
    (r"^final\.", "head."),
)
"""Names in checkpoints of the published code."""


class RDPNet(Model):
    """Sides of any length from 16 pixels up: the last patches continue the image by its edge."""

    backbone_parts = ("patches", "mixers")
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.importance = nn.Parameter(torch.randn(1, DEPTH * MIXERS, 1, 1))
        self.patches = nn.Sequential(
            nn.Conv2d(2 * in_channels, WIDTH, PATCH, stride=PATCH), SwitchableNorm(WIDTH), nn.GELU()
        )
        self.mixers = nn.ModuleList(Mixer() for _ in range(MIXERS))
        self.head = nn.Conv2d(DEPTH * MIXERS, 1, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        height, width = a.shape[-2:]
        x = torch.cat([a, b], dim=1)
        x = self.patches(F.pad(x, (0, -width % PATCH, 0, -height % PATCH), mode="replicate"))
        found = []
        for mixer in self.mixers:
            x, enlarged = mixer(x)
            found.append(enlarged)
        return self.head(torch.cat(found, dim=1) * self.importance)[..., :height, :width]


class Mixer(nn.Module):
    """Neighbouring patches by channel, then channels by patch (ConvMixer's, Trockman and Kolter 2022, arXiv
    2201.09792, with the residual before the second); and the result at the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(WIDTH, WIDTH, 9, padding=4, groups=WIDTH)
        self.first_norm = SwitchableNorm(WIDTH)
        self.pointwise = nn.Conv2d(WIDTH, WIDTH, 1)
        self.second_norm = SwitchableNorm(WIDTH)
        self.out = nn.Sequential(
            nn.Conv2d(WIDTH, DEPTH, 1),
            SwitchableNorm(DEPTH),
            nn.GELU(),
            nn.ConvTranspose2d(DEPTH, DEPTH, PATCH, stride=PATCH),
            SwitchableNorm(DEPTH),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x + F.gelu(self.first_norm(self.depthwise(x)))
        x = F.gelu(self.second_norm(self.pointwise(x)))
        return x, self.out(x)
