"""A convolution with batch norm, with and without ReLU, sized so that stride 1 keeps the image's size."""

from torch import nn


def conv_bn(
    before: int, after: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, groups: int = 1,
    bias: bool = True,
) -> nn.Sequential:  # fmt: skip
    around = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, around, dilation, groups, bias), nn.BatchNorm2d(after)
    )


def conv_bn_relu(
    before: int, after: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, groups: int = 1,
    bias: bool = True,
) -> nn.Sequential:  # fmt: skip
    block = conv_bn(before, after, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias)
    return block.append(nn.ReLU())
