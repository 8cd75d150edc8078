"""VMamba (Liu et al. 2024, arXiv 2401.10166, figures 3 and 4), in the form that MineNetCD uses: one state,
no gate.

Submodules are named as its repository (MzeroMiko/VMamba) names them, so that its weight files load by name.
"""

import math

import torch
from torch import Tensor, nn

from models.layers.selective_scan import selective_scan
from models.layers.stochastic_depth import StochasticDepth

SIZES = {
    "vmamba-t": ((2, 2, 5, 2), 96),
    "vmamba-s": ((2, 2, 15, 2), 96),
    "vmamba-b": ((2, 2, 15, 2), 128),
}
"""Blocks of the four stages, and channels of the first, doubling."""
RELEASES = "https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls"
FILES = {
    "vmamba-t": f"{RELEASES}/vssm_tiny_0230_ckpt_epoch_262.pth",
    "vmamba-s": f"{RELEASES}/vssm_small_0229_ckpt_epoch_222.pth",
    "vmamba-b": f"{RELEASES}/vssm_base_0229_ckpt_epoch_237.pth",
}
"""Weights from ImageNet, as VMamba's repository lists them."""
DIRECTIONS = 4
STEPS = (0.001, 0.1)
"""Between which the steps of the scans begin."""
DROPPED, DROPPED_BRANCHES = 0.6, 0.1


class VMamba(nn.Module):
    """Four feature maps (N, channels[i], H/4.., W/4..) of an image, at 1/4 to 1/32."""

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        depths, width = SIZES[name]
        self.channels = [width * 2**level for level in range(4)]
        self.patch_embed = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1),
            Channels(),
            nn.LayerNorm(width // 2),
            Channels(back=True),
            nn.GELU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            Channels(),
            nn.LayerNorm(width),
        )
        rates = torch.linspace(0, DROPPED_BRANCHES, sum(depths), device="cpu").tolist()
        self.layers = nn.ModuleList()
        for level, channels in enumerate(self.channels):
            dropped = rates[sum(depths[:level]) : sum(depths[: level + 1])]
            self.layers.append(Stage(channels, dropped, last=level == 3))
            self.add_module(f"outnorm{level}", nn.LayerNorm(channels))
        self.apply(_begin)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, levels = self.patch_embed(image), []
        for level, layer in enumerate(self.layers):
            x, down = layer(x)
            levels.append(self.get_submodule(f"outnorm{level}")(x).permute(0, 3, 1, 2).contiguous())
            x = down
        return tuple(levels)


class Channels(nn.Module):
    """Channels to the last axis, or `back`."""

    def __init__(self, back: bool = False) -> None:
        super().__init__()
        self.order = (0, 3, 1, 2) if back else (0, 2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(*self.order)


class Stage(nn.Module):
    """Blocks at one size, and half of it for the next stage."""

    def __init__(self, width: int, dropped: list[float], last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, rate) for rate in dropped))
        self.downsample: nn.Module = nn.Identity()
        if not last:
            self.downsample = nn.Sequential(
                Channels(back=True),
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
                Channels(),
                nn.LayerNorm(2 * width),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(x)
        return x, self.downsample(x)


class Block(nn.Module):
    """A scan in four directions and a perceptron, each behind a layer norm in a residual branch."""

    def __init__(self, width: int, dropped: float) -> None:
        super().__init__()
        self.norm, self.op = nn.LayerNorm(width), Scan(width)
        self.norm2, self.mlp = nn.LayerNorm(width), Perceptron(width)
        self.sometimes = StochasticDepth(dropped)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.sometimes(self.op(self.norm(x)))
        return x + self.sometimes(self.mlp(self.norm2(x)))


class Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Scan(nn.Module):
    """2D selective scan (figure 3): pixels row by row and column by column, forth and back, each direction
    with its own parameters, and summed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner, rank = 2 * width, math.ceil(width / 16)
        self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, rank + 2, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(torch.zeros(DIRECTIONS * inner, 1))
        self.Ds = nn.Parameter(torch.ones(DIRECTIONS * inner))
        self.in_proj = nn.Linear(width, inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(DROPPED)
        self._begin(rank)

    def _begin(self, rank: int) -> None:
        """As Mamba does: steps between STEPS, evenly in their logarithm."""
        nn.init.kaiming_uniform_(self.x_proj_weight.flatten(0, 1), a=math.sqrt(5))
        nn.init.uniform_(self.dt_projs_weight, -(rank**-0.5), rank**-0.5)
        low, high = (math.log(step) for step in STEPS)
        step = torch.exp(torch.rand_like(self.dt_projs_bias) * (high - low) + low).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_projs_bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same."""
        image = nn.functional.silu(self.conv2d(self.in_proj(x).permute(0, 3, 1, 2)))
        return self.dropout(self.out_proj(self.out_norm(self._scanned(image).permute(0, 2, 3, 1))))

    def _scanned(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        forth = torch.stack([image.flatten(2), image.mT.flatten(2)], dim=1)
        lines = torch.cat([forth, forth.flip(-1)], dim=1)  # (N, 4, C, H x W)
        rank = self.dt_projs_weight.shape[-1]
        step, b, c = torch.einsum("nkcl,kpc->nkpl", lines, self.x_proj_weight).split([rank, 1, 1], dim=2)
        step = torch.einsum("nkrl,kcr->nkcl", step, self.dt_projs_weight)
        a = -self.A_logs.float().exp().unflatten(0, (DIRECTIONS, -1))
        d = self.Ds.unflatten(0, (DIRECTIONS, -1))
        y = selective_scan(lines, step, a, b, c, d, self.dt_projs_bias)
        forth = y[:, :2] + y[:, 2:].flip(-1)
        rows = forth[:, 0].unflatten(-1, (height, width))
        return (rows + forth[:, 1].unflatten(-1, (width, height)).mT).to(image.dtype)


def _begin(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
