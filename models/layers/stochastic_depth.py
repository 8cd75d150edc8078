"""Stochastic depth (Huang et al. 2016, arXiv 1603.09382, equation 5)."""

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """In training a residual branch (N, ...) is left out of a share `dropped` of the items, and larger by as
    much in the others."""

    def __init__(self, dropped: float) -> None:
        super().__init__()
        self.dropped = dropped

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return branch
        shape = (len(branch), *[1] * (branch.ndim - 1))
        kept = torch.empty(shape, dtype=branch.dtype, device=branch.device).bernoulli_(1 - self.dropped)
        return branch * kept / (1 - self.dropped)
