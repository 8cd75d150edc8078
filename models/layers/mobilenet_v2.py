"""The convolutions of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381, table 2), to its 320 channels.

Submodules are named as torchvision names them, so that its weight files load by name.
"""

from torch import Tensor, nn

from models.layers.convolutions import conv_bn

# expansion, channels, blocks, stride
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
)  # fmt: skip
CHANNELS = (16, 24, 32, 96, 320)
WIDE = 1280
ENDS = (1, 3, 6, 13, 17)
"""Layers that are the last of their size, with the CHANNELS above at 1/2 to 1/32."""
TIMM = (
    (r"^conv_stem\.", "features.0.0."),
    (r"^bn1\.", "features.0.1."),
    (r"^conv_head\.", "features.18.0."),
    (r"^bn2\.", "features.18.1."),
    (r"^blocks\.(\d)\.(\d)\.(\w+)\.", lambda found: _timm(int(found[1]), int(found[2]), found[3])),
)
"""Names of timm, whose weights stand on the hub."""


def _timm(stage: int, block: int, part: str) -> str:
    layer = 1 + sum(blocks for _, _, blocks, _ in STAGES[:stage]) + block
    names = SEPARABLE if stage == 0 else INVERTED
    # Names beyond these blocks are of layers that are not built here.
    return f"features.{layer}.conv.{names.get(part, part)}."


SEPARABLE = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
INVERTED = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}


class MobileNetV2(nn.Module):
    """Five feature maps (N, CHANNELS[i], H/2.., W/2..) of an image; with `wide` the last has 1,280
    channels, by the classifier's last convolution."""

    def __init__(self, in_channels: int, wide: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(in_channels, 32, 3, 2)]
        before = 32
        for expansion, after, blocks, stride in STAGES:
            for block in range(blocks):
                layers.append(_Inverted(before, after, expansion, 1 if block else stride))
                before = after
        if wide:
            layers.append(_convolution(before, WIDE, 1))
        self.features = nn.ModuleList(layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = []
        for number, layer in enumerate(self.features):
            image = layer(image)
            if number in ENDS:
                levels.append(image)
        return [*levels[:-1], image]


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return conv_bn(before, after, kernel, stride=stride, groups=groups, bias=False).append(nn.ReLU6())


class _Inverted(nn.Module):
    """Expand, convolve each channel, project; added to the input where it fits."""

    def __init__(self, before: int, after: int, expansion: int, stride: int) -> None:
        super().__init__()
        self.added = stride == 1 and before == after
        expanded = before * expansion
        layers: list[nn.Module] = [_convolution(before, expanded, 1)] if expansion > 1 else []
        layers += [
            _convolution(expanded, expanded, 3, stride, expanded),
            *conv_bn(expanded, after, 1, bias=False),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.added else self.conv(x)
