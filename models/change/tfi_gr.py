"""TFI-GR (Li, Tang, Wang and Zhai 2022, doi 10.1109/TGRS.2022.3160007, figures 2 to 5): a ResNet-18, the
features of both dates interacting on four levels, and twice what changed, found over all levels together,
guiding the refinement of each.

`decoder`: the published code merges its three steps by one convolution ("code"), though it makes three;
"paper" gives each step its own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese, options_of
from models.layers.attention import ChannelAttention
from models.layers.backbones import resnet18, torchvision_resnet
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (guanyuezhen/TFI-GR); it cuts up to 3 % off each side of half of the pairs, "
    "`scale-crop` up to a sixth of the side of all",
    {"optimiser": "adam", "learning_rate": 1e-4, "betas": (0.9, 0.99), "weight_decay": 1e-4,
     "schedule": "polynomial", "warmup_steps": 200, "batch": 32, "loss": "bce-dice", "steps": 20_000,
     "augment": ("flip", "scale-crop", "swap"), "weights": "pretrained"},
)  # fmt: skip
CHANNELS = (512, 256, 128, 64)
"""Of the levels, deepest first, as the network goes through them."""
WIDTH = 64
DECODERS: dict[str, int] = {"code": 1, "paper": 3}
PUBLISHED: Names = (
    *torchvision_resnet(r"backbone\.", "backbone."),
    *(
        (rf"^TFIM(\d)\.{theirs}\.", lambda found, ours=ours: f"interaction.{5 - int(found[1])}.{ours}.")
        for theirs, ours in (("conv_sub", "subtract"), ("conv_diff_enh1", "earlier"),
                             ("conv_diff_enh2", "later"), ("conv_cat", "merge"), ("conv_dr", "reduce"))
    ),
    (r"^CIEM(\d)\.ca\.fc(\d)\.",
     lambda found: f"extraction.{int(found[1]) - 1}.attention.squeeze.{2 * int(found[2]) - 2}."),
    (r"^CIEM(\d)\.conv_dr\.", lambda found: f"extraction.{int(found[1]) - 1}.reduce."),
    (r"^CIEM(\d)\.conv_pool(\d)\.1\.",
     lambda found: f"extraction.{int(found[1]) - 1}.pooled.{int(found[2]) - 1}."),
    (r"^GRM(\d)\.conv_d(\d)\.", lambda found: f"refinement.{int(found[1]) - 1}.{5 - int(found[2])}."),
    (r"^decoder\.conv_sum(\d)\.", lambda found: f"sums.{int(found[1]) - 1}."),
    (r"^decoder\.cls\.", "head."),
)  # fmt: skip
"""Names in checkpoints of the published code."""


class TFIGR(Siamese):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone",)
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")
    pretrained = "microsoft/resnet-18"

    def __init__(self, in_channels: int, decoder: str = "code") -> None:
        super().__init__()
        self.in_channels = in_channels
        steps = options_of({"decoder": decoder}, DECODERS, "tfi-gr")
        self.backbone = resnet18(in_channels)
        self.interaction = nn.ModuleList(Interaction(width) for width in CHANNELS)
        self.extraction = nn.ModuleList(Extraction() for _ in range(2))
        self.refinement = nn.ModuleList(
            nn.ModuleList(conv_bn_relu(WIDTH, WIDTH) for _ in CHANNELS) for _ in range(2)
        )
        self.sums = nn.ModuleList(conv_bn_relu(WIDTH, WIDTH) for _ in range(steps))
        self.head = nn.Conv2d(WIDTH, 1, 1, bias=False)

    def encode(self, image: Tensor) -> Features:
        # The last one only carries the image's size.
        return [*reversed(self.backbone(image).feature_maps), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        levels = [meet(x, y) for meet, x, y in zip(self.interaction, a, b, strict=False)]
        for extract, refine in zip(self.extraction, self.refinement, strict=True):
            guides = extract(levels)
            steps = zip(refine, levels, guides, strict=True)  # type: ignore[call-overload]
            levels = [step(x + guide) for step, x, guide in steps]
        x = levels[0]
        for number, finer in enumerate(levels[1:]):
            x = self.sums[number % len(self.sums)](finer + resized(x, finer, align_corners=True))
        return resized(self.head(x), a[-1], align_corners=True)


class Interaction(nn.Module):
    """What differs strengthens both dates before they are merged (figure 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.subtract = conv_bn_relu(width, width)
        self.earlier, self.later = conv_bn_relu(width, width), conv_bn_relu(width, width)
        self.merge = conv_bn_relu(2 * width, width)
        self.reduce = conv_bn_relu(width, WIDTH, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        differing = self.subtract((a - b).abs())
        a, b = self.earlier(a * differing + a), self.later(b * differing + b)
        return self.reduce(differing + self.merge(torch.cat([a, b], dim=1)))


class Extraction(nn.Module):
    """What changed, over all levels together, at the size of each (figure 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = ChannelAttention(4 * WIDTH, 16)
        self.reduce = conv_bn_relu(4 * WIDTH, WIDTH, bias=False)
        self.pooled = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(3))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        x = torch.cat([resized(level, levels[-1], align_corners=True) for level in levels], dim=1)
        x = self.reduce(x * self.attention(x))
        smaller: list[Any] = [
            conv(F.avg_pool2d(x, 2**step, ceil_mode=True)) for step, conv in enumerate(self.pooled, start=1)
        ]
        return [*reversed(smaller), x]
