"""U-TAE (Garnot and Landrieu 2021, arXiv 2107.07933, figure 2): a U-Net over every date of a series, whose
coarsest maps are compared across dates by a temporal attention (L-TAE, Garnot and Landrieu 2020, arXiv
2007.00586) that also mixes the finer ones.

The paper makes one map of a whole series, with a learnt query. Here each date has a map of its own: its query
is made of its own features, and its own maps are added to what the attention collects from all dates. Its
position is its place in the series.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (VSainteuf/utae-paps), for semantic segmentation",
    {"optimiser": "adam", "learning_rate": 1e-3, "schedule": "constant", "batch": 4, "loss": "cross-entropy",
     "epochs": 100, "series": True},
)  # fmt: skip
HEADS, KEY = 16, 4
PERIOD = 1000.0
"""Of the sines that say which place in the series a date has."""


class UTAE(Model):
    """Series (N, T, C, H, W) to logits (N x T, 1, H, W), series by series; an image (N, C, H, W) is a series
    of one date. `width`: channels of the first level, 64 in the paper, a multiple of 16."""

    sees_series = True
    multiple = 8
    backbone_parts = ("encoder",)

    def __init__(self, in_channels: int, width: int = 64) -> None:
        super().__init__()
        self.in_channels = in_channels
        down, up = (width, width, width, 2 * width), (width // 2, width // 2, width, 2 * width)
        self.encoder = nn.ModuleList([
            nn.Sequential(_Convolutions([in_channels, down[0], down[0]], _groups)),
            *(_Down(a, b) for a, b in pairwise(down)),
        ])  # fmt: skip
        self.attention = TemporalAttention(down[-1], 4 * width)
        levels = zip(reversed(up), list(reversed(up))[1:], list(reversed(down))[1:], strict=False)
        self.decoder = nn.ModuleList(_Up(a, b, skip) for a, b, skip in levels)
        self.head = nn.Sequential(_Convolutions([up[0], 32], nn.BatchNorm2d), nn.Conv2d(32, 1, 3, padding=1))

    def forward(self, series: Tensor) -> Tensor:
        if series.ndim == 4:
            series = series[:, None]
        shape = series.shape[:2]
        maps = [series.flatten(0, 1)]
        for level in self.encoder:
            maps.append(level(maps[-1]))
        levels = [level.unflatten(0, shape) for level in maps[1:]]
        found, weights = self.attention(levels[-1])
        found = found.flatten(0, 1)
        for up, own in zip(self.decoder, reversed(levels[:-1]), strict=True):
            found = up(found, mixed(own, weights).flatten(0, 1))
        return self.head(found)


class TemporalAttention(nn.Module):
    """Attention of each date to all dates at each pixel of maps (N, T, C, h, w): what it collects (N, T, C,
    h, w), and its weights (N, HEADS, to T, from T, h, w)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.inner = inner
        self.norm_in = nn.GroupNorm(HEADS, channels)
        self.widen = nn.Conv1d(channels, inner, 1)
        self.keys = nn.Linear(inner, HEADS * KEY)
        self.queries = nn.Linear(inner, HEADS * KEY)
        for layer in (self.keys, self.queries):
            nn.init.normal_(layer.weight, std=(2 / KEY) ** 0.5 / inner**0.5)
        self.dropped = nn.Dropout(0.1)
        self.mlp = nn.Sequential(nn.Linear(inner, channels), nn.BatchNorm1d(channels), nn.ReLU())
        self.dropout = nn.Dropout(0.2)
        self.norm_out = nn.GroupNorm(HEADS, channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        batch, dates, channels, height, width = maps.shape
        pixels = maps.permute(0, 3, 4, 2, 1).reshape(-1, channels, dates)
        values = self.widen(self.norm_in(pixels)).transpose(1, 2)
        values = values + positions(dates, self.inner // HEADS, maps.device).repeat(1, HEADS)
        heads = (values.shape[0], dates, HEADS, -1)
        keys, queries = (layer(values).view(heads).transpose(1, 2) for layer in (self.keys, self.queries))
        weights = self.dropped(torch.softmax(queries @ keys.transpose(2, 3) / KEY**0.5, dim=-1))
        collected = (weights @ values.view(heads).transpose(1, 2)).transpose(1, 2).flatten(2)
        found = self.dropout(self.mlp(collected.flatten(0, 1)))
        found = self.norm_out(found).view(batch, height, width, dates, channels).permute(0, 3, 4, 1, 2)
        placed = weights.view(batch, height, width, HEADS, dates, dates).permute(0, 3, 4, 5, 1, 2)
        return found, placed


def mixed(maps: Tensor, weights: Tensor) -> Tensor:
    """Maps (N, T, C, H, W) of each date plus those of all dates, weighed by each head for its share of the
    channels; weights (N, HEADS, T, T, h, w) are made as large as the maps."""
    size = maps.shape[-2:]
    flat = F.interpolate(weights.flatten(0, 2), size=size, mode="bilinear", align_corners=False)
    large = flat.unflatten(0, weights.shape[:3])
    grouped = maps.unflatten(2, (HEADS, -1))
    return maps + torch.einsum("nktshw,nskchw->ntkchw", large, grouped).flatten(2, 3)


def positions(dates: int, channels: int, device: torch.device) -> Tensor:
    """Sines (dates, channels) of each date's place in the series."""
    place = torch.arange(dates, device=device)[:, None]
    channel = torch.arange(channels, device=device)
    angle = place / PERIOD ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


class _Convolutions(nn.Sequential):
    """3x3 convolutions, each with a norm and ReLU."""

    def __init__(self, widths: list[int], norm) -> None:  # type: ignore[no-untyped-def]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, padding=1, padding_mode="reflect"), norm(b), nn.ReLU()]
        super().__init__(*layers)


def _groups(channels: int) -> nn.Module:
    return nn.GroupNorm(4, channels)


class _Down(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = nn.Conv2d(before, before, 4, stride=2, padding=1, padding_mode="reflect")
        self.down = nn.Sequential(stride, _groups(before), nn.ReLU())
        self.first = _Convolutions([before, after], _groups)
        self.second = _Convolutions([after, after], _groups)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.down(x))
        return x + self.second(x)


class _Up(nn.Module):
    def __init__(self, before: int, after: int, skip: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skip, skip, 1), nn.BatchNorm2d(skip), nn.ReLU())
        larger = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
        self.up = nn.Sequential(larger, nn.BatchNorm2d(after), nn.ReLU())
        self.first = _Convolutions([after + skip, after], nn.BatchNorm2d)
        self.second = _Convolutions([after, after], nn.BatchNorm2d)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.first(torch.cat([self.up(x), self.skip(skip)], dim=1))
        return x + self.second(x)
