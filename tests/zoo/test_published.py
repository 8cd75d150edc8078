"""Published checkpoints give what the published code gives with them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.training import weights
from tests.zoo import published
from tests.zoo.names import marked

LAYOUTS = published.layouts()
MODELS = [name for name in LAYOUTS if not name.startswith("timm/")]
LIMIT = 2
"""Largest difference in float64, in multiples of what rounding explains."""
OTHER_EPS = {1e-5: 1e-6, 1e-3: 1e-5, 1e-2: 1e-3}
"""The eps that a norm's might be mistaken for."""
LAYER_NORMS = {
    "bit": {1e-5: 18},
    "changeformer": {1e-5: 14, 1e-6: 30},
    "icifnet": {1e-5: 9, 1e-6: 15},
}
"""Layer norms by eps. A wrong one of them hides behind float32's rounding, so they are counted."""


def filled(name: str, folder: Path) -> nn.Module:
    """Return a network in float64 with the weights of its published checkpoint, and without dropout."""
    layout = LAYOUTS[name]
    with published.Undrawn():
        network = models.create(name, in_channels=3, **layout["options"])
    path = folder / "published.pth"
    torch.save({"state_dict": published.checkpoint(layout["tensors"])}, path)
    told = weights.load(network, str(path), ["red", "green", "blue"])
    count = len([key for key in network.state_dict() if not key.endswith("num_batches_tracked")])
    assert told == f"{count} of {count} tensors from {path}"
    published.still(network)
    return network.double()


def norms(network: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> dict[float, list[Any]]:
    """Return a network's norms of a kind by their eps."""
    by_eps: dict[float, list[Any]] = {}
    for module in network.modules():
        if isinstance(module, kind):
            by_eps.setdefault(module.eps, []).append(module)
    return by_eps


@pytest.mark.parametrize("name", MODELS)
def test_a_published_checkpoint_gives_the_published_codes_logits(name: str, tmp_path: Path) -> None:
    """In evaluation and in training mode, with weights that follow from the names in its checkpoint."""
    network = filled(name, tmp_path)
    errors = dict(published.each_error(network, LAYOUTS[name]))
    assert errors
    assert max(errors.values()) <= LIMIT, errors
    layer_norms = {eps: len(modules) for eps, modules in norms(network, nn.LayerNorm).items()}
    assert layer_norms == LAYER_NORMS.get(name, {})


WITHOUT_NORMS = ("rdpnet", "sqnet")


@pytest.mark.parametrize(
    "name", marked([name for name in MODELS if name not in WITHOUT_NORMS], ["fc-ef", "tinycd", "ddpm-cd"])
)
def test_a_wrong_eps_is_seen(name: str, tmp_path: Path) -> None:
    network = filled(name, tmp_path)
    kinds = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.InstanceNorm2d)
    changed = norms(network, kinds)
    assert changed
    for eps, modules in changed.items():
        for module in modules:
            module.eps = OTHER_EPS[eps]
        # The second mode is computed where the first does not show it.
        assert any(error > LIMIT for _, error in published.each_error(network, LAYOUTS[name])), eps
        for module in modules:
            module.eps = eps
