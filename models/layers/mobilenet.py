"""The beginning of MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244, table 1), by torchvision."""

from itertools import pairwise

from torch import nn

from models.layers.inverted import Inverted, Shape, Style, convolution

STYLE = Style(squeeze=nn.ReLU, gate=nn.Hardsigmoid, eps=0.001, momentum=0.01)
# kernel, expanded, out, squeeze and excitation, activation, stride
LAYERS = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
)
ENDS = (0, 2, 4, 7, 11)
"""Stages end before these layers: 16 channels at 1/2, 24 at 1/4, 40 at 1/8, 80 at 1/16."""
STAGES = tuple(slice(a, b) for a, b in pairwise(ENDS))
CHANNELS = (16, 24, 40, 80)


def first_eleven(in_channels: int) -> nn.ModuleList:
    """The first convolution and ten bottlenecks."""
    layers: list[nn.Module] = [convolution(in_channels, 16, 3, 2, STYLE, nn.Hardswish)]
    before = 16
    for kernel, expanded, after, squeeze, activation, stride in LAYERS:
        squeezed = _by_eight(expanded / 4) if squeeze else None
        layers.append(Inverted(Shape(before, expanded, after, kernel, stride, squeezed), STYLE, activation))
        before = after
    return nn.ModuleList(layers)


def _by_eight(width: float) -> int:
    """To the nearest multiple of eight, and never below 90 % of the width."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8
