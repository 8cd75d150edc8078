"""Switchable normalisation (Luo et al. 2019, arXiv 1806.10779, equations 3 to 5)."""

import torch
from torch import Tensor, nn

MOMENTUM = 0.9
"""Of the running statistics; the share that is kept."""


class SwitchableNorm(nn.Module):
    """Mean and variance of a channel's pixels in an image, of all channels, and of the batch, mixed by
    learned weights. Variances of single images are unbiased, as in the authors' code."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.mean_weight = nn.Parameter(torch.ones(3))
        self.var_weight = nn.Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(1, channels, 1))
        self.register_buffer("running_var", torch.zeros(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2)
        own_mean, own_var = pixels.mean(-1, keepdim=True), pixels.var(-1, keepdim=True)
        square = own_var + own_mean**2
        layer_mean = own_mean.mean(1, keepdim=True)
        layer_var = square.mean(1, keepdim=True) - layer_mean**2
        batch_mean, batch_var = self._of_batch(own_mean, square)
        mean = _mixed(self.mean_weight, own_mean, layer_mean, batch_mean)
        var = _mixed(self.var_weight, own_var, layer_var, batch_var)
        normal = ((pixels - mean) / (var + 1e-5).sqrt()).view(x.shape)
        return normal * self.weight + self.bias

    def _of_batch(self, mean: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_var
        batch_mean = mean.mean(0, keepdim=True)
        batch_var = square.mean(0, keepdim=True) - batch_mean**2
        for running, now in ((self.running_mean, batch_mean), (self.running_var, batch_var)):
            running.mul_(MOMENTUM).add_((1 - MOMENTUM) * now.detach())
        return batch_mean, batch_var


def _mixed(weights: Tensor, *values: Tensor) -> Tensor:
    first, second, third = weights.softmax(0)
    return first * values[0] + second * values[1] + third * values[2]
