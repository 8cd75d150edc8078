import pytest
import torch

import models
import models.base
from models.evaluation.gradcam import gradcam
from tests.models.zoo import DEEP, by_size, made


@pytest.mark.parametrize("name", by_size(DEEP))
def test_every_models_maps_have_the_images_size(name: str) -> None:
    torch.manual_seed(0)
    network = made(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    dates = 2 if models.task_of(name) == "change" else 1
    maps = gradcam(network, [torch.randn(2, 3, 64, 64) for _ in range(dates)])
    assert maps.shape == (len(network.explained), 2, 64, 64)
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1
    assert torch.isfinite(maps).all()
    # Looking changes nothing: no weight, no statistic, no hook.
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(not module._forward_pre_hooks for module in network.modules() if module is not network)


def test_the_map_is_bright_where_the_decision_comes_from() -> None:
    class Spot(models.base.Model):
        def __init__(self) -> None:
            super().__init__()
            self.in_channels = 1
            self.head = torch.nn.Conv2d(1, 1, 1)
            torch.nn.init.ones_(self.head.weight)
            torch.nn.init.zeros_(self.head.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x)

    image = torch.zeros(1, 1, 16, 16)
    image[..., 4:8, 4:8] = 2.0
    found = gradcam(Spot(), [image])[0, 0]
    assert (found[4:8, 4:8] == 1).all()
    assert found.sum() == 16
    assert (gradcam(Spot(), [-image]) == 0).all()
