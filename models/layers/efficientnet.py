"""The beginning of EfficientNet-B4 (Tan and Le 2019, arXiv 1905.11946, table 1, scaled by 1.4 and 1.8).

Submodules are named as torchvision names them, so that its weight files load by name: symmetric padding, and
batch norm with its default eps and momentum, other than in TensorFlow's.
"""

import torch
from torch import Tensor, nn

# expansion, kernel, stride, channels, blocks
STAGES = ((1, 3, 1, 24, 2), (6, 3, 2, 32, 4), (6, 5, 2, 56, 4))
STEM = 48
BLOCKS = 32
"""Of the whole network, over which the rate of stochastic depth grows to its highest."""
DROPPED = 0.2


def first_three(in_channels: int) -> nn.ModuleList:
    """The stem, 48 channels at 1/2, and three stages: 24 at 1/2, 32 at 1/4, 56 at 1/8."""
    layers: list[nn.Module] = [_convolution(in_channels, STEM, 3, 2)]
    before, number = STEM, 0
    for expansion, kernel, stride, after, blocks in STAGES:
        stage: list[nn.Module] = []
        for block in range(blocks):
            rate = DROPPED * number / BLOCKS
            stage.append(_Inverted(before, after, expansion, kernel, 1 if block else stride, rate))
            before, number = after, number + 1
        layers.append(nn.Sequential(*stage))
    return nn.ModuleList(layers)


def _convolution(
    before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, activated: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    ]
    return nn.Sequential(*layers, *([nn.SiLU(inplace=True)] if activated else []))


class _Squeeze(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc2(nn.functional.silu(self.fc1(self.avgpool(x))))
        return x * weight.sigmoid()


class _Inverted(nn.Module):
    """Expand, convolve each channel, squeeze and excite, project; where it is added to its input, it is left
    out of an item with probability `dropped` in training."""

    def __init__(
        self, before: int, after: int, expansion: int, kernel: int, stride: int, dropped: float
    ) -> None:
        super().__init__()
        self.added, self.dropped = stride == 1 and before == after, dropped
        expanded = before * expansion
        layers: list[nn.Module] = [_convolution(before, expanded, 1)] if expansion > 1 else []
        layers += [
            _convolution(expanded, expanded, kernel, stride, expanded),
            _Squeeze(expanded, before // 4),
            _convolution(expanded, after, 1, activated=False),
        ]
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        if not self.added:
            return y
        if self.training and self.dropped:
            kept = torch.empty((len(x), 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(1 - self.dropped)
            y = y * kept / (1 - self.dropped)
        return x + y
