"""PSPNet (Zhao, Shi, Qi, Wang and Jia 2017, arXiv 1612.01105, figure 3): a ResNet-50 whose last stages keep
1/8 of the size, and the whole image's context pooled to four grids. An auxiliary map from the third stage
is trained beside.

`stem`: the published code's ResNet begins with three small convolutions ("deep"), for which no weights are
on the hub; "plain" has ResNet's own one.
"""

import torch
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from models.base import Model, Names, options_of
from models.layers.backbones import HUB, RESNET, STAGES, keep_resolution, torchvision_resnet
from models.layers.configured import configured
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
BINS = (1, 2, 3, 6)
AUXILIARY = 0.4
STEMS = {"plain": 64, "deep": 128}
PUBLISHED: Names = (
    (r"^layer0\.", "backbone.embedder."),
    *torchvision_resnet("", "backbone."),
    (r"^ppm\.features\.", "pyramid.branches."),
    (r"^cls\.", "head."),
    (r"^aux\.", "auxiliary."),
)
"""Names in checkpoints of the published code (hszhao/semseg)."""


class PSPNet(Model):
    """Sides of any length from 32 pixels up. The coarsest grid has batch norm over a single pixel an image,
    so training takes batches of two or more."""

    smallest = 32
    backbone_parts = ("backbone",)
    head_parts = ("head", "auxiliary")
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")

    def __init__(self, in_channels: int, stem: str = "plain") -> None:
        super().__init__()
        self.in_channels = in_channels
        width = options_of({"stem": stem}, STEMS, "pspnet")
        self.pretrained = HUB["resnet50"] if stem == "plain" else None
        shape = {"embedding_size": width, **RESNET["resnet50"]}
        config = configured(ResNetConfig, num_channels=in_channels, out_features=STAGES[2:], **shape)
        self.backbone = ResNetBackbone(config)
        if stem == "deep":
            self.backbone.set_submodule("embedder", _deep(in_channels))
        for stage, dilation in ((2, 2), (3, 4)):
            keep_resolution(self.backbone.encoder.stages[stage], dilation)
        self.pyramid = Pyramid(2048)
        self.head = _map(2 * 2048, 512)
        self.auxiliary = _map(1024, 256)

    def forward(self, x: Tensor) -> Tensor:
        _, deepest = self.backbone(x).feature_maps
        return resized(self.head(self.pyramid(deepest)), x, align_corners=True)

    def supervised(self, *images: Tensor) -> list[tuple[float, Tensor]]:
        third, deepest = self.backbone(images[0]).feature_maps
        maps = ((1.0, self.head(self.pyramid(deepest))), (AUXILIARY, self.auxiliary(third)))
        return [(weight, resized(logits, images[0], align_corners=True)) for weight, logits in maps]


class Pyramid(nn.Module):
    """The features beside their means over grids of BINS cells a side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        each = width // len(BINS)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), *conv_bn_relu(width, each, 1, bias=False))
            for cells in BINS
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [resized(branch(x), x, align_corners=True) for branch in self.branches]
        return torch.cat([x, *found], dim=1)


def _map(before: int, width: int) -> nn.Sequential:
    return conv_bn_relu(before, width, bias=False).extend([nn.Dropout2d(0.1), nn.Conv2d(width, 1, 1)])


def _deep(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        *conv_bn_relu(in_channels, 64, stride=2, bias=False),
        *conv_bn_relu(64, 64, bias=False),
        *conv_bn_relu(64, 128, bias=False),
        nn.MaxPool2d(3, 2, 1),
    )
