"""How large a model is and how much it computes."""

import re
import sys
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minebench.errors import UnknownName
from models import registry
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


@dataclass(frozen=True)
class Described:
    """A model as a list shows it; `parameters` are those for ten bands."""

    name: str
    task: str
    parameters: int
    about: str


def described(task: str | None = None) -> list[Described]:
    """All models, or those of a task. UnknownName where there is no such task."""
    if task is not None and task not in registry.REGISTRY:
        raise UnknownName(f"There is no task '{task}'; tasks: {', '.join(registry.REGISTRY)}.")
    tasks = [task] if task else list(registry.REGISTRY)
    return [_described(name, task) for task in tasks for name in registry.names(task)]


def _described(name: str, task: str) -> Described:
    # Without numbers: only their count is asked for.
    with torch.device("meta"):
        network = registry.create(name, in_channels=10)
    text = " ".join((sys.modules[type(network).__module__].__doc__ or "").split())
    about = re.split(r", figure|, doi|, arXiv|[:;]|\.(?= [A-Z]|$)", text)[0]
    return Described(name, task, parameters(network), about + ")" * (about.count("(") - about.count(")")))
