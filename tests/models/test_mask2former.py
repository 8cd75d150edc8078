from types import SimpleNamespace

import pytest
import torch

import models
from models.base import Model


@pytest.fixture(scope="module")
def mask2former() -> Model:
    torch.manual_seed(0)
    return models.create("mask2former-swin-t", in_channels=3).eval()


def test_mask2former_takes_the_class_with_the_highest_score(
    mask2former: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its masks agree on a pixel: sums of both classes, not one alone, decide."""
    queries = torch.tensor([[[0.0, 2.0, -9.0], [3.0, 0.0, -9.0]]])  # footprint, background; never nothing
    masks = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
    found = SimpleNamespace(class_queries_logits=queries, masks_queries_logits=masks)
    monkeypatch.setattr(mask2former.network, "forward", lambda x: found)
    logits = mask2former(torch.zeros(1, 3, 32, 64))[0, 0]
    assert (logits[:, :16] > 0).all()
    assert (logits[:, -16:] < 0).all()


def test_mask2former_learns_nothing_from_unknown_pixels(mask2former: Model) -> None:
    torch.manual_seed(0)
    network = mask2former
    images = torch.randn(1, 3, 64, 64)
    label = torch.zeros(1, 64, 64, dtype=torch.uint8)
    label[:, 8:24, 8:24] = 1
    label[:, 30:] = 255
    seen = {}
    hook = network.network.model.pixel_level_module.decoder.mask_projection.register_forward_hook(
        lambda module, inputs, output: seen.update(features=output) or output.retain_grad()
    )
    network.matched_loss(images, label).backward()
    hook.remove()
    gradient = seen["features"].grad.abs().sum(dim=1)[0]  # (16, 16), a row for four
    # Masks are sampled bilinearly: a row's points reach into the next one.
    assert gradient[:7].sum() > 0
    assert gradient[8:].sum() < 0.02 * gradient[:7].sum()
    assert torch.isfinite(network.matched_loss(images, torch.full_like(label, 255)))
