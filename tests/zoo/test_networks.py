"""What holds for each network of the registry. It is built once, with ten bands, for all of these tests."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import models
from minebench.data.datasets import Scale
from minebench.errors import InputError
from models.base import Model, Siamese
from models.evaluation.gradcam import gradcam
from models.training.objective import Objective
from models.training.settings import Settings
from tests.zoo.names import CHANGE, DEEP, by_size, images_for, made

BANDS = 10
OF_CHANGE = [name for name in DEEP if name in CHANGE]
"""The first of DEEP, in its order: with that pytest builds each network once for all tests."""
ONE_IMAGE = ("fc-ef", "insinet", "fcnpp", "rdpnet", "afcf3d", "ussfcnet")
"""Change models that see both dates as one image and encode neither alone."""
SYMMETRIC = ("a2net", "ddpm-cd")
"""Change models over absolute differences alone. Others decode one date's features, both in their order, or
a signed difference."""


@pytest.fixture(scope="module", params=by_size(DEEP))
def built_once(request: pytest.FixtureRequest) -> tuple[str, Model]:
    torch.manual_seed(0)
    return request.param, made(request.param, in_channels=BANDS)


@pytest.fixture
def named(built_once: tuple[str, Model]) -> tuple[str, Model]:
    """A model's name and the network, ready to predict. A test that changes weights works on a copy."""
    name, network = built_once
    torch.manual_seed(0)
    return name, network.eval()


def test_sees_each_image_alone_at_the_smallest_size_and_takes_uneven_ones(named: tuple[str, Model]) -> None:
    name, network = named
    # TinyCD's instance norms divide by the spread of untrained features, which is next to nothing: float32's
    # rounding becomes 1e-4 of the logits, where all others have 2e-6.
    kind = torch.float64 if name == "tinycd" else torch.float32
    network = copy.deepcopy(network).to(kind) if kind != torch.float32 else network
    side = network.smallest
    with torch.no_grad():
        images = [image.to(kind) for image in images_for(name, 2, side, BANDS)]
        together = network(*images)
        assert together.shape == (2, 1, side, side)
        alone = torch.cat([network(*(image[i : i + 1] for image in images)) for i in range(2)])
        assert torch.allclose(together, alone, atol=1e-5 * max(1, float(together.abs().max())))
        height, width = (51, 37) if network.multiple == 1 else (64, 96)
        uneven = [torch.randn(1, BANDS, height, width, dtype=kind) for _ in images]
        assert network(*uneven).shape == (1, 1, height, width)


def test_images_that_do_not_fit_are_a_sentence(named: tuple[str, Model]) -> None:
    name, network = named
    with pytest.raises(InputError, match=f"at least {network.smallest} pixels a side"):
        network(*images_for(name, 1, network.smallest - 1, BANDS))
    with pytest.raises(InputError, match=f"made for {BANDS} bands, but these images have 4"):
        network(*images_for(name, 1, 64, channels=4))
    if network.multiple > 1:
        with pytest.raises(InputError, match=f"multiples of {network.multiple} pixels, not 70 x 70"):
            network(*images_for(name, 1, 70, BANDS))


@pytest.mark.parametrize("built_once", by_size(OF_CHANGE), indirect=True)
def test_encode_once_gives_the_logits_of_single_pairs(named: tuple[str, Model]) -> None:
    name, network = named
    if not isinstance(network, Siamese):
        assert name in ONE_IMAGE
        return
    # The order of float32's sums differs by processor: in double precision where the network can (no FFT).
    kind, near = (torch.float32, 1e-5) if name.startswith("minenetcd") else (torch.float64, 1e-9)
    side, network = network.smallest, copy.deepcopy(network).to(kind)
    images = torch.randn(3, BANDS, side, side, dtype=kind)
    with torch.no_grad():
        features = network.encode(images)
        pairs = network.decode([f[[0, 1]] for f in features], [f[[2, 0]] for f in features])
        assert torch.allclose(pairs, network(images[[0, 1]], images[[2, 0]]), atol=near)


@pytest.mark.parametrize("built_once", by_size(OF_CHANGE), indirect=True)
def test_symmetric_where_the_paper_has_it(named: tuple[str, Model]) -> None:
    name, network = named[0], copy.deepcopy(named[1])
    with torch.no_grad():
        # Batch statistics as after training, or deep features are too small to matter.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        network.train()(*images_for(name, 2, 32, BANDS))
        network.eval()
        a, b = images_for(name, 1, 32, BANDS)
        one, other = network(torch.cat([a, b]), torch.cat([b, a]))
        near = 1e-5 * max(1, float(one.abs().max()))  # untrained logits are up to a million
        assert torch.allclose(one, other, rtol=0, atol=near) == (name in SYMMETRIC)


def test_gradcam_has_the_images_size_and_changes_nothing(named: tuple[str, Model]) -> None:
    name, network = named
    before = {key: value.clone() for key, value in network.state_dict().items()}
    parts = [*network.explained_before, *network.explained]
    maps = gradcam(network, images_for(name, 2, 32, BANDS), parts)
    assert maps.shape == (len(parts), 2, 32, 32)
    assert len(network.explained_before) in (0, len(network.explained))
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1
    assert torch.isfinite(maps).all()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(not module._forward_pre_hooks for module in network.modules() if module is not network)


def test_every_parameter_is_trained_also_in_bf16(named: tuple[str, Model]) -> None:
    """Nothing is made that no loss reaches (but transformers' last norm of Swin), and bf16 gives numbers."""
    name, network = named[0], copy.deepcopy(named[1])
    side = network.smallest
    images = torch.stack(images_for(name, 2, side, BANDS), dim=1)
    label = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    label[:, :, : side // 3] = 1
    one = Scale(np.zeros(BANDS, np.float32), np.ones(BANDS, np.float32))
    settings = Settings(augment=(), loss="bce-dice")
    objective = Objective(network, models.task_of(name), one, settings).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(images, label)
    # oneDNN's gradient of a 3D convolution's weights in bf16 is at times not a number (torch 2.13 on an AMD
    # EPYC with one thread: 1 of 20 alike on plain random numbers); what is tested is the model. Without
    # oneDNN gradients take six times as long, so only networks with such a convolution go without.
    has_3d = any(isinstance(module, nn.Conv3d) for module in network.modules())
    with torch.backends.mkldnn.flags(enabled=torch.backends.mkldnn.enabled and not has_3d):
        loss.backward()
    assert torch.isfinite(loss)
    missed = [key for key, value in network.named_parameters() if value.grad is None]
    assert [key for key in missed if "swin.layernorm" not in key] == []
    sums = [value.grad.sum() for value in network.parameters() if value.grad is not None]
    assert torch.isfinite(torch.stack(sums)).all()


@pytest.mark.parametrize("name", [name for name in CHANGE if name not in DEEP])
def test_rules_compare_both_dates_alike(name: str) -> None:
    torch.manual_seed(0)
    network = made(name, in_channels=BANDS)
    a, b = images_for(name, 1, 64, BANDS)
    assert torch.allclose(network(a, b), network(b, a), atol=1e-5)
