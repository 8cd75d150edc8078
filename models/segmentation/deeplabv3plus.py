"""DeepLabV3+ (Chen et al. 2018, arXiv 1802.02611, figure 2): features at 1/16 through windows of several
dilations, refined with those at 1/4. Over ResNet-101 or MobileNetV2, in the form of
segmentation_models.pytorch, whose checkpoints load."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from models.base import Model, Names, options_of
from models.layers.backbones import HUB, RESNET, STAGES, keep_resolution, torchvision_resnet
from models.layers.configured import configured
from models.layers.convolutions import conv_bn_relu
from models.layers.mobilenet_v2 import CHANNELS, TIMM, WIDE, MobileNetV2
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
WIDTH, FINE = 256, 48
DILATIONS = (12, 24, 36)
DROPPED = 0.5
HEAD: Names = (
    (r"^decoder\.aspp\.0\.convs\.4\.", "pyramid.whole."),
    (r"^decoder\.aspp\.0\.convs\.([123])\.0\.", r"pyramid.branches.\1."),
    (r"^decoder\.aspp\.0\.convs\.([123])\.1\.", r"pyramid.branches.\1.2."),
    (r"^decoder\.aspp\.0\.convs\.0\.", "pyramid.branches.0."),
    (r"^decoder\.aspp\.0\.project\.", "pyramid.project."),
    (r"^decoder\.aspp\.1\.", "refined."),
    (r"^decoder\.aspp\.2\.", "refined.2."),
    (r"^decoder\.block1\.", "fine."),
    (r"^decoder\.block2\.0\.", "merge."),
    (r"^decoder\.block2\.1\.", "merge.2."),
    (r"^segmentation_head\.0\.", "head."),
)
"""Names in checkpoints of segmentation_models.pytorch, beside the encoder."""
ENCODERS = {"resnet101": False, "mobilenetv2": True}
"""Whether it is the light one."""


class DeepLabV3Plus(Model):
    """Sides of any length from 32 pixels up. The pooled branch has batch norm over a single pixel an image,
    so training takes batches of two or more."""

    smallest = 32
    backbone_parts = ("backbone",)

    def __init__(self, in_channels: int, backbone: str = "resnet101") -> None:
        super().__init__()
        self.in_channels = in_channels
        self.light = options_of({"backbone": backbone}, ENCODERS, "deeplabv3plus")
        if self.light:
            self.backbone: Any = MobileNetV2(in_channels, wide=True)
            for layer in self.backbone.features[14:]:
                keep_resolution(layer, 2)
            deep, shallow = WIDE, CHANNELS[1]
            self.published = ((r"^encoder\.", "backbone."), *HEAD)
            self.backbone_published = TIMM
            self.pretrained = "timm/mobilenetv2_100.ra_in1k"
        else:
            shape = RESNET[backbone]
            given = [STAGES[0], STAGES[3]]
            self.backbone = ResNetBackbone(
                configured(ResNetConfig, num_channels=in_channels, out_features=given, **shape)
            )
            keep_resolution(self.backbone.encoder.stages[3], 2)
            deep, shallow = 2048, 256
            self.published = (*torchvision_resnet(r"encoder\.", "backbone."), *HEAD)
            self.backbone_published = torchvision_resnet("", "")
            self.pretrained = HUB[backbone]
        self.pyramid = Pyramid(deep)
        self.refined = _separable(WIDTH, WIDTH)
        self.fine = conv_bn_relu(shallow, FINE, 1, bias=False)
        self.merge = _separable(FINE + WIDTH, WIDTH)
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.light:
            _, fine, _, _, deep = self.backbone(x)
        else:
            fine, deep = self.backbone(x).feature_maps
        y = self.refined(self.pyramid(deep))
        y = resized(y, fine, align_corners=True)
        y = self.merge(torch.cat([y, self.fine(fine)], dim=1))
        return resized(self.head(y), x, align_corners=True)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (figure 2, encoder)."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_bn_relu(before, WIDTH, 1, bias=False)])
        self.branches.extend(_separable(before, WIDTH, dilation) for dilation in DILATIONS)
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(before, WIDTH, 1, bias=False))
        joined = (len(DILATIONS) + 2) * WIDTH
        self.project = conv_bn_relu(joined, WIDTH, 1, bias=False).append(nn.Dropout(DROPPED))

    def forward(self, x: Tensor) -> Tensor:
        found = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*found, resized(self.whole(x), x)], dim=1))


def _separable(before: int, after: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, before, 3, padding=dilation, dilation=dilation, groups=before, bias=False),
        *conv_bn_relu(before, after, 1, bias=False),
    )
