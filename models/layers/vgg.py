"""VGG-16's convolutions with batch norm (Simonyan and Zisserman 2015, arXiv 1409.1556, table 1, D)."""

import re

from torch import Tensor, nn

from models.base import Names
from models.layers.convolutions import conv_bn_relu

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
CHANNELS = (128, 256, 512, 512)
"""At 1/2, 1/4, 1/8 and 1/16: the first stage has the image's size and is no level."""
BEGINNINGS = (0, 6, 13, 23, 33)
"""Places of the stages' first layers in torchvision's one sequence."""


def torchvision_vgg(theirs: str, ours: str) -> Names:
    """Names of a VGG-16 that stands under `theirs` in a published checkpoint (a pattern) and under `ours`
    here."""

    def renamed(found: re.Match[str]) -> str:
        place = int(found["place"])
        stage = max(number for number, start in enumerate(BEGINNINGS) if start <= place)
        return f"{ours}stages.{stage}.{place - BEGINNINGS[stage]}."

    return ((rf"^{theirs}\.(?P<place>\d+)\.", renamed),)


class VGG16(nn.Module):
    """Four feature maps (N, CHANNELS[i], H/2.., W/2..) of an image, the last one before its ReLU, as the
    codes that use it cut it."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stages, before = nn.ModuleList(), in_channels
        for number, widths in enumerate(STAGES):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if number else []
            for width in widths:
                layers += conv_bn_relu(before, width)
                before = width
            last = number == len(STAGES) - 1
            self.stages.append(nn.Sequential(*layers[:-1] if last else layers))

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = []
        for stage in self.stages:
            image = stage(image)
            levels.append(image)
        return levels[1:]
