"""The U-Net of a diffusion model as a frozen encoder (SR3's, Saharia et al. 2021, arXiv 2104.07636, as
DDPM-CD trains it on remote-sensing images): the features with which it would take the noise out of an
image.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Names

MULTIPLES = (1, 2, 4, 8, 8)
"""Channels of the five levels, in widths of the first."""
BLOCKS, GROUPS = 2, 32
STEPS, FIRST_BETA, LAST_BETA = 2000, 1e-6, 1e-2
PUBLISHED: Names = (
    (r"^(?:denoise_fn\.)?init_conv\.", "backbone.first."),
    (r"^(?:denoise_fn\.)?noise_level_mlp\.(\d)\.", lambda found: f"backbone.embed.{int(found[1]) - 1}."),
    (r"^(?:denoise_fn\.)?(downs|mid|ups)\.(\d+)\.res_block\.noise_func\.noise_func\.0\.",
     r"backbone.\1.\2.level."),
    (r"^(?:denoise_fn\.)?(downs|mid|ups)\.(\d+)\.res_block\.block([12])\.block\.",
     r"backbone.\1.\2.block\3."),
    (r"^(?:denoise_fn\.)?(downs|mid|ups)\.(\d+)\.res_block\.res_conv\.", r"backbone.\1.\2.shortcut."),
    (r"^(?:denoise_fn\.)?(downs|mid|ups)\.(\d+)\.", r"backbone.\1.\2."),
)  # fmt: skip
"""Names in checkpoints of the published code, of the whole diffusion model."""


def signal_levels() -> np.ndarray:
    """Share of the image in what is left of it after 0 to STEPS steps: the root of the product of 1 - beta
    (Ho et al. 2020, arXiv 2006.11239, equation 4)."""
    kept = np.cumprod(1 - np.linspace(FIRST_BETA, LAST_BETA, STEPS))
    return np.sqrt(np.append(1.0, kept))


class DiffusionUNet(nn.Module):
    """Features (N, width * MULTIPLES[i], H/2^i, W/2^i) of noisy images, deepest first, of the levels from the
    fifth down to `finest` (0 for the image's size): the decoder's first block of each."""

    def __init__(self, in_channels: int, width: int, finest: int) -> None:
        super().__init__()
        self.width, self.finest = width, finest
        self.embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        channels = [width * multiple for multiple in MULTIPLES]
        self.downs, before, kept = nn.ModuleList(), width, [width]
        for level, after in enumerate(channels):
            for _ in range(BLOCKS):
                self.downs.append(Block(before, after, width, attends=level == len(channels) - 1))
                before = after
                kept.append(after)
            if level < len(channels) - 1:
                self.downs.append(Halve(before))
                kept.append(before)
        self.mid = nn.ModuleList([Block(before, before, width, True), Block(before, before, width, False)])
        self.ups = nn.ModuleList()
        for level in range(len(channels) - 1, finest - 1, -1):
            after = channels[level]
            blocks = BLOCKS + 1 if level > finest else 1
            for _ in range(blocks):
                self.ups.append(Block(before + kept.pop(), after, width, attends=level == len(channels) - 1))
                before = after
            if level > finest:
                self.ups.append(Double(before))

    def forward(self, image: Tensor, signal: Tensor) -> list[Tensor]:
        """`signal` (N,): the share of the image in it."""
        level = self.embed(encoded(signal, self.width))
        x = self.first(image)
        kept = [x]
        for layer in self.downs:
            x = layer(x, level)
            kept.append(x)
        for layer in self.mid:
            x = layer(x, level)
        features, fresh = [], True
        for layer in self.ups:
            if isinstance(layer, Double):
                x, fresh = layer(x, kept[-1]), True
                continue
            x = layer(torch.cat([x, kept.pop()], dim=1), level)
            if fresh:
                features.append(x)
            fresh = False
        return features


def encoded(level: Tensor, width: int) -> Tensor:
    """Levels (N,) as sines and cosines (N, width)."""
    half = width // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, device=level.device) / half)
    angles = level[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """A residual block that is told the level of noise, and attention between pixels where it `attends`."""

    def __init__(self, before: int, after: int, width: int, attends: bool) -> None:
        super().__init__()
        self.block1 = _block(before, after, 0.0)
        self.level = nn.Linear(width, after)
        self.block2 = _block(after, after, 0.2)
        self.shortcut: nn.Module = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.attn = Attention(after) if attends else None

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        y = self.block1(x) + self.level(level)[..., None, None]
        y = self.block2(y) + self.shortcut(x)
        return y if self.attn is None else self.attn(y)


def _block(before: int, after: int, dropped: float) -> nn.Sequential:
    return nn.Sequential(
        nn.GroupNorm(GROUPS, before), nn.SiLU(), nn.Dropout(dropped), nn.Conv2d(before, after, 3, padding=1)
    )


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        pixels = [part.flatten(2).mT for part in self.qkv(self.norm(x)).chunk(3, dim=1)]
        return x + self.out(F.scaled_dot_product_attention(*pixels).mT.view(x.shape))


class Halve(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.conv(x)


class Double(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, size=like.shape[-2:], mode="nearest"))
