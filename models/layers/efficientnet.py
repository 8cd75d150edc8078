"""The beginning of EfficientNet-B4 (Tan and Le 2019, arXiv 1905.11946, table 1, scaled by 1.4 and 1.8), as
torchvision has it: symmetric padding, and batch norm with its default eps and momentum, other than in
TensorFlow's.
"""

from torch import nn

from models.layers.inverted import Inverted, Shape, Style, convolution

STYLE = Style(squeeze=nn.SiLU, gate=nn.Sigmoid)
# expansion, kernel, stride, channels, blocks
STAGES = ((1, 3, 1, 24, 2), (6, 3, 2, 32, 4), (6, 5, 2, 56, 4))
STEM = 48
BLOCKS = 32
"""Of the whole network, over which the rate of stochastic depth grows to its highest."""
DROPPED = 0.2


def first_three(in_channels: int) -> nn.ModuleList:
    """The stem, 48 channels at 1/2, and three stages: 24 at 1/2, 32 at 1/4, 56 at 1/8."""
    layers: list[nn.Module] = [convolution(in_channels, STEM, 3, 2, STYLE, nn.SiLU)]
    before, number = STEM, 0
    for expansion, kernel, stride, after, blocks in STAGES:
        stage: list[nn.Module] = []
        for block in range(blocks):
            step = 1 if block else stride
            shape = Shape(before, before * expansion, after, kernel, step, before // 4)
            stage.append(Inverted(shape, STYLE, nn.SiLU, DROPPED * number / BLOCKS))
            before, number = after, number + 1
        layers.append(nn.Sequential(*stage))
    return nn.ModuleList(layers)
