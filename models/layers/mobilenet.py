"""The beginning of MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244, table 1) and its bottleneck.

Submodules are named as torchvision names them, so that its weight files load by name.
"""

from itertools import pairwise

from torch import Tensor, nn

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
    layers: list[nn.Module] = [_convolution(in_channels, 16, 3, 2, nn.Hardswish)]
    before = 16
    for kernel, expanded, after, squeeze, activation, stride in LAYERS:
        layers.append(_Inverted(before, kernel, expanded, after, squeeze, activation, stride))
        before = after
    return nn.ModuleList(layers)


def _convolution(
    before: int, after: int, kernel: int, stride: int = 1, activation: type[nn.Module] | None = None,
    groups: int = 1,
) -> nn.Sequential:  # fmt: skip
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def _by_eight(width: float) -> int:
    """To the nearest multiple of eight, and never below 90 % of the width."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


class _Squeeze(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc2(self.fc1(self.avgpool(x)).relu())
        return x * nn.functional.hardsigmoid(weight)


class _Inverted(nn.Module):
    """Expand, convolve each channel, squeeze and excite, project; added to the input where it fits."""

    def __init__(
        self, before: int, kernel: int, expanded: int, after: int, squeeze: bool,
        activation: type[nn.Module], stride: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.added = stride == 1 and before == after
        layers: list[nn.Module] = []
        if expanded != before:
            layers.append(_convolution(before, expanded, 1, 1, activation))
        layers.append(_convolution(expanded, expanded, kernel, stride, activation, expanded))
        if squeeze:
            layers.append(_Squeeze(expanded, _by_eight(expanded / 4)))
        layers.append(_convolution(expanded, after, 1))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.added else self.block(x)
