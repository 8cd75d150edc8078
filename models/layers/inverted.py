"""The inverted bottleneck with squeeze and excitation, which MobileNetV3 and EfficientNet are made of.

Submodules are named as torchvision names them, so that its weight files load by name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from models.layers.stochastic_depth import StochasticDepth

Activation = Callable[[], nn.Module]


@dataclass(frozen=True)
class Shape:
    """Of one bottleneck: channels before, within and after; of the squeeze, None without one."""

    before: int
    expanded: int
    after: int
    kernel: int
    stride: int
    squeezed: int | None


@dataclass(frozen=True)
class Style:
    """What the networks differ in: activations, also in the squeeze, its gate, and batch norm."""

    squeeze: Activation
    gate: Activation
    eps: float = 1e-5
    momentum: float = 0.1


def convolution(
    before: int, after: int, kernel: int, stride: int, style: Style, activation: Activation | None,
    groups: int = 1,
) -> nn.Sequential:  # fmt: skip
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after, style.eps, style.momentum),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Squeeze(nn.Module):
    def __init__(self, channels: int, squeezed: int, style: Style) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = style.squeeze(), style.gate()

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * self.gate(self.fc2(self.activation(self.fc1(mean))))


class Inverted(nn.Module):
    """Expand, convolve each channel, squeeze and excite, project; where it is added to its input, it is left
    out of an item with probability `dropped` in training."""

    def __init__(self, shape: Shape, style: Style, activation: Activation, dropped: float = 0.0) -> None:
        super().__init__()
        self.added = shape.stride == 1 and shape.before == shape.after
        inner = shape.expanded
        layers: list[nn.Module] = []
        if inner != shape.before:
            layers.append(convolution(shape.before, inner, 1, 1, style, activation))
        layers.append(convolution(inner, inner, shape.kernel, shape.stride, style, activation, inner))
        if shape.squeezed is not None:
            layers.append(Squeeze(inner, shape.squeezed, style))
        layers.append(convolution(inner, shape.after, 1, 1, style, None))
        self.block = nn.Sequential(*layers)
        self.sometimes = StochasticDepth(dropped)

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + self.sometimes(y) if self.added else y
