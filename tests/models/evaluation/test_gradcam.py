import torch

import models
import models.base
from models.evaluation.gradcam import gradcam
from pipeline.inference import explain


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


def test_before_and_after_changefft_are_of_one_model() -> None:
    """MineNetCD's figure 15: the difference of features, and what ChangeFFT makes of it."""
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 32, 32) for _ in range(2)]
    network = models.create("minenetcd-resnet18", in_channels=3).eval()
    torch.nn.init.ones_(network.decode_head.classifier.bias)  # so that something is found
    frames = explain._contributions(network, images)
    assert list(frames) == [
        f"GradCAM {i}, {when} ChangeFFT" for i in (1, 2, 3) for when in ("before", "after")
    ]
    assert all(frame.shape == (32, 32, 3) for frame in frames.values())
    alone = explain._heat(gradcam(network, images)[0, 0].numpy())
    assert (frames["GradCAM 1, after ChangeFFT"] == alone).all()
    assert (frames["GradCAM 1, before ChangeFFT"] != alone).any()
    off = models.create("minenetcd-resnet18", in_channels=3, fft=False)  # as YAML reads off
    assert (off.explained_before, off.between) == ((), "")
