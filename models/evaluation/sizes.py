"""How large a model is and how much it computes."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.base import Model


@dataclass(frozen=True)
class Size:
    """`parameters`, learned numbers; `gmacs`, billions of multiply-adds for one item."""

    parameters: int
    gmacs: float


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def measure(network: Model, task: str, side: int) -> Size:
    """Of one pair (or one image) of `side` x `side` pixels: convolutions, dense layers and matrix
    products, half of PyTorch's count of operations. Published counts, made with thop, are higher where
    there are transposed convolutions, which it took by their output."""
    training = network.training
    device = next(iter(network.state_dict().values())).device
    images = [torch.zeros(1, network.in_channels, side, side, device=device)] * (2 if task == "change" else 1)
    # Attention as matrix products, which are counted; its fused form is not everywhere.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        network.eval()(*images)
    network.train(training)
    return Size(parameters(network), counted.get_total_flops() / 2e9)
