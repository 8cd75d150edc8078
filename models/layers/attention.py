"""Attention that several change models share."""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """A weight in 0..1 for each channel (N, C, 1, 1), from its mean and its largest value (CBAM, Woo et al.
    2018, arXiv 1807.06521, equation 2)."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, channels // ratio, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels // ratio, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.squeeze(mean) + self.squeeze(largest))


class CoordinateAttention(nn.Module):
    """Each pixel weighed by its row and by its column (Hou, Zhou and Feng 2021, arXiv 2103.02907, equations
    4 to 9); `middle` channels between."""

    def __init__(self, channels: int, middle: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Conv2d(channels, middle, 1), nn.BatchNorm2d(middle), activation())
        self.of_rows = nn.Conv2d(middle, channels, 1)
        self.of_columns = nn.Conv2d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.mean(dim=3, keepdim=True), x.mean(dim=2, keepdim=True).mT
        rows, columns = self.mix(torch.cat([rows, columns], dim=2)).split([x.shape[2], x.shape[3]], dim=2)
        rows, columns = self.of_rows(rows).sigmoid(), self.of_columns(columns.mT).sigmoid()
        return x * columns * rows


def split_key_value(state: dict[str, Tensor], key: str, value: str) -> dict[str, Tensor]:
    """Tensors of attention whose `.kv.` holds key and value in one, apart under these words."""
    found = dict(state)
    for name in [name for name in found if ".attention.kv." in name]:
        first, second = found.pop(name).chunk(2)
        found |= {name.replace(".kv.", f".{key}."): first, name.replace(".kv.", f".{value}."): second}
    return found
