"""LinkNet (Chaurasia and Culurciello 2017, arXiv 1707.03718, figures 1 and 2): a ResNet-18, and a light
decoder to whose levels the encoder's are added."""

from torch import Tensor, nn

from models.base import Model, Names
from models.layers.backbones import resnet18, torchvision_resnet
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import cut
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
STEPS = ((512, 256, 2), (256, 128, 2), (128, 64, 2), (64, 64, 1))
"""Channels before and after, and how much a step enlarges."""
PARTS = {"conv1": "reduce", "tp_conv": "grow", "conv2": "out"}
PUBLISHED: Names = (
    (r"^in_block\.0\.", "backbone.embedder.embedder.convolution."),
    (r"^in_block\.1\.", "backbone.embedder.embedder.normalization."),
    *torchvision_resnet("", "backbone.", stages="encoder"),
    (
        r"^decoder(\d)\.(conv1|tp_conv|conv2)\.",
        lambda found: f"decoders.{4 - int(found[1])}.{PARTS[found[2]]}.",
    ),
    (r"^tp_conv1\.", "last.0."),
    (r"^conv2\.", "last.1."),
    (r"^tp_conv2\.", "head."),
)
"""Names in checkpoints of the published code (e-lab/pytorch-linknet)."""


class LinkNet(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone",)
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")
    pretrained = "microsoft/resnet-18"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = resnet18(in_channels, stem=True)
        self.decoders = nn.ModuleList(Decoder(*step) for step in STEPS)
        self.last = nn.Sequential(_grow(64, 32, 2, bias=True), conv_bn_relu(32, 32))
        self.head = nn.ConvTranspose2d(32, 1, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        *skips, y = self.backbone(x).feature_maps
        for decoder, skip in zip(self.decoders, reversed(skips), strict=True):
            y = decoder(y, skip)
        return cut(self.head(self.last(y)), x)


class Decoder(nn.Module):
    """A quarter of the channels, twice the size, and the channels of the level that is added."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(before, before // 4, 1, bias=False)
        self.grow = _grow(before // 4, before // 4, stride, bias=False)
        self.out = conv_bn_relu(before // 4, after, 1, bias=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.out(cut(self.grow(self.reduce(x)), skip)) + skip


def _grow(before: int, after: int, stride: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 3, stride, 1, stride - 1, bias=bias),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
