"""Each network learns two images by heart."""

import numpy as np
import pytest
import torch
from torch import nn

import models
from minebench.data.datasets import Scale
from models.training.objective import Objective
from models.training.settings import Settings
from tests.zoo import published
from tests.zoo.names import DEEP, made, marked

OVERFIT_QUICKLY = [
    "fc-ef", "fc-siam-diff", "fc-siam-conc", "snunet", "bit", "tinycd", "insinet", "unet", "segformer-b0",
    "deeplabv3-mobilevitv2", "linknet", "sqnet",
]  # fmt: skip
OF_EACH_KIND = ["fc-siam-diff", "bit", "tinycd", "insinet", "unet", "segformer-b0", "sqnet"]
"""Of these `make test` has one of each kind of network; their siblings learn in `make slow`."""
SMALL = [name for name in OVERFIT_QUICKLY if name != "segformer-b0"]
"""Networks that are content with images of 32 pixels a side; others get 64."""
COARSE = ("deeplabv3-mobilevitv2", "deeplabv3plus-resnet101", "pspnet", "afcf3d", "foundation-")
"""Networks whose maps are at 1/16, 1/8 or 1/2: corners of a label are beyond them, halves are not."""
RATES = {
    1e-2: ("insinet",),
    3e-3: ("snunet", "tinycd", "bit", "fc-", "linknet"),
    3e-4: ("mask2former", "deeplabv3plus-resnet101", "minenetcd-resnet101", "ddpm-cd"),
}
"""Adam's learning rate by the beginning of a name; 1e-3 for all others."""


def label_of(name: str, side: int) -> torch.Tensor:
    """Return two footprints (2, side, side), as fine as the network can draw them."""
    label = torch.zeros(2, 64, 64, dtype=torch.uint8)
    if name.startswith(COARSE):
        label[0, :, :32] = label[1, 32:] = 1
    else:
        label[0, 8:28, 12:40] = label[1, 36:60, 20:44] = 1
    return label[:, :: 64 // side, :: 64 // side]


@pytest.mark.parametrize("name", marked(DEEP, OF_EACH_KIND))
def test_overfits_two_items(name: str) -> None:
    """From one of three starts: another processor's rounding makes one of them stall now and then."""
    steps = 150 if name in OVERFIT_QUICKLY else 400
    assert any(learns(name, seed, steps) for seed in range(3))


def learns(name: str, seed: int, steps: int) -> bool:
    """Return whether a network that does not know two images comes to an F1 of 0.99 on them."""
    torch.manual_seed(seed)
    network = made(name)
    published.still(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.3 if name == "deeplabv3-mobilevitv2" else 0.1  # the authors' is too slow here
    side = 32 if name in SMALL else 64
    label = label_of(name, side)
    a = torch.randn(2, 3, side, side) * 0.1
    b = a + label[:, None]
    task = models.task_of(name)
    images = torch.stack([a, b], dim=1) if task == "change" else b[:, None]
    if task == "change":
        # One mine grows and one is filled: batch norm sees each date by itself, and both dates alike.
        images[1] = images[1].flip(0)
    one = Scale(np.zeros(3, np.float32), np.ones(3, np.float32))
    objective = Objective(network, task, one, Settings(augment=(), loss="bce"))
    rate = next((rate for rate, names in RATES.items() if name.startswith(names)), 1e-3)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    assert f1_of(network, images, label) < 0.9, "untrained"
    for step in range(1, steps + 1):
        objective.train()
        optimiser.zero_grad()
        objective(images, label[:, None]).backward()
        optimiser.step()
        if step % 5 == 0 and f1_of(network, images, label) >= 0.99:
            return True
    return False


@torch.no_grad()
def f1_of(network: nn.Module, images: torch.Tensor, label: torch.Tensor) -> float:
    predicted = network.eval()(*images.unbind(dim=1))[:, 0] > 0
    return float(2 * (predicted & (label == 1)).sum() / (predicted.sum() + (label == 1).sum()))
