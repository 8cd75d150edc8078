"""ChangeFFT, the frequency-domain mixing of MineNetCD, in its two published forms.

Both are two dense layers with complex weights and biases, real and imaginary parts kept apart, so that
(x + iy)(u + iv) = (xu - yv) + i(xv + yu).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.stochastic_depth import StochasticDepth

SCALE = 0.02


class ComplexDense(nn.Module):
    """A dense layer over the last axis of complex numbers, block-diagonal in `blocks` blocks."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        width = channels // blocks
        self.weight = nn.Parameter(torch.randn(2, blocks, width, width) * SCALE)
        self.bias = nn.Parameter(torch.randn(2, blocks, width) * SCALE)

    def forward(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Both (..., blocks, width)."""
        (u, v), (p, q) = self.weight, self.bias
        return _dense(real, u) - _dense(imaginary, v) + p, _dense(real, v) + _dense(imaginary, u) + q


def _dense(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("...bd,bdk->...bk", x, weight)


class PaperMixing(nn.Module):
    """As section III-C writes it: FFT along the channels, a full complex dense layer, SiLU, a second
    one, and back. What the paper leaves open: the real part is kept, and nothing is added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ComplexDense(channels, 1), ComplexDense(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            z = torch.fft.fft(x.float().permute(0, 2, 3, 1)[..., None, :], norm="ortho")
            real, imaginary = self.first(z.real, z.imag)
            real, imaginary = self.second(F.silu(real), F.silu(imaginary))
            mixed = torch.fft.ifft(torch.complex(real, imaginary), norm="ortho").real
        return mixed[..., 0, :].permute(0, 3, 1, 2).to(x.dtype)


class CodeMixing(nn.Module):
    """As the published code does it: FFT over rows and columns, complex layers block-diagonal in four
    blocks, ReLU after the first and soft shrinkage after the second; applied once as it is (but on VMamba,
    where it is not `plainly`) and once more behind a layer norm, in a residual branch with stochastic
    depth."""

    blocks = 4
    shrinkage = 0.01
    dropped = 0.1

    def __init__(self, channels: int, plainly: bool = True) -> None:
        super().__init__()
        self.plainly = plainly
        self.first, self.second = ComplexDense(channels, self.blocks), ComplexDense(channels, self.blocks)
        self.norm = nn.LayerNorm(channels)
        self.sometimes = StochasticDepth(self.dropped)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            y = x.float().permute(0, 2, 3, 1)
            y = self.mix(y) if self.plainly else y
            y = y + self.sometimes(self.mix(self.norm(y)))
        return y.permute(0, 3, 1, 2).to(x.dtype)

    def mix(self, x: Tensor) -> Tensor:
        """(N, h, w, C) to the same."""
        z = torch.fft.fft2(x.unflatten(-1, (self.blocks, -1)), dim=(1, 2), norm="ortho")
        real, imaginary = self.first(z.real, z.imag)
        real, imaginary = self.second(F.relu(real), F.relu(imaginary))
        real, imaginary = F.softshrink(real, self.shrinkage), F.softshrink(imaginary, self.shrinkage)
        z = torch.fft.ifft2(torch.complex(real, imaginary), dim=(1, 2), norm="ortho")
        return z.real.flatten(-2)
