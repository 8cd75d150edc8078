import torch

import models.base
from models.evaluation.gradcam import gradcam


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
