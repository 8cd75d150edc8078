"""DDPM-CD (Bandara, Nair and Patel 2022, arXiv 2206.11892, figures 2 and 3): what a diffusion model,
trained on remote-sensing images without labels, sees in each date at three levels of noise; and a head that
compares it.

`weights` names the diffusion model's file; without one the frozen encoder is random, and only a trial of
the head. `finest`: the published head computes the features of the image's own size and does not use them
("code"); "paper" adds them like those of the other levels.

In training the noise is drawn for each image; in evaluation one noise is drawn for all, always the same, so
that an image has the same features in every pair.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese, options_of
from models.layers import diffusion
from models.layers.diffusion import MULTIPLES, DiffusionUNet, signal_levels
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (wgcban/ddpm-cd); `weights` is left to the user, whose file it is",
    {"optimiser": "adam", "learning_rate": 1e-4, "schedule": "linear", "batch": 8, "loss": "cross-entropy",
     "epochs": 120, "mode": "frozen", "augment": ("flip",)},
)  # fmt: skip
TIMES = (50, 100, 400)
"""Steps of noise at which an image is looked at."""
FINEST = {"code": 1, "paper": 0}
SEED = 50


ATTENDED = {
    "0": "convolve", "2.cSE.fc1": "channels.0", "2.cSE.fc2": "channels.2", "2.sSE.conv": "pixels.0",
}  # fmt: skip
PUBLISHED: Names = (
    *diffusion.PUBLISHED,
    (r"^decoder\.([02468])\.block\.(\d)\.", r"decoder.\1.\2."),
    (r"^decoder\.([1357])\.block\.(0|2\.[cs]SE\.\w+)\.",
     lambda found: f"decoder.{found[1]}.{ATTENDED[found[2]]}."),
    (r"^clfr_stg([12])\.", lambda found: f"head.{2 * int(found[1]) - 2}."),
)  # fmt: skip
"""Names in checkpoints of the published code: of the diffusion model, and of the head."""


class DDPMCD(Siamese):
    """Sides of any length from 32 pixels up. `width`: channels of the diffusion model's first level, 128 in
    the published one."""

    smallest = 32
    backbone_parts = ("backbone",)
    head_parts = ("decoder", "head")
    published = PUBLISHED

    def __init__(self, in_channels: int, width: int = 128, finest: str = "code") -> None:
        super().__init__()
        self.in_channels = in_channels
        lowest = options_of({"finest": finest}, FINEST, "ddpm-cd")
        self.backbone = DiffusionUNet(in_channels, width, lowest)
        self.decoder = nn.ModuleList()
        for level in range(len(MULTIPLES) - 1, lowest - 1, -1):
            here = width * MULTIPLES[level]
            self.decoder.append(_merge(here))
            if level:
                self.decoder.append(Attended(here, width * MULTIPLES[level - 1]))
        self.head = nn.Sequential(
            nn.Conv2d(width, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 1, 3, padding=1)
        )
        self.levels = [signal_levels()[time - 1 : time + 1].tolist() for time in TIMES]

    def encode(self, image: Tensor) -> Features:
        looks = [self._features(image, number) for number in range(len(TIMES))]
        # The last one only carries the image's size.
        return [*(torch.cat(level, dim=1) for level in zip(*looks, strict=True)), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        x: Tensor | None = None
        for number, (first, second) in enumerate(zip(a[:-1], b[:-1], strict=True)):
            merge = self.decoder[2 * number]
            difference = (merge(first) - merge(second)).abs()
            x = difference if x is None else difference + x
            if 2 * number + 1 < len(self.decoder):
                like = a[number + 1]
                x = resized(self.decoder[2 * number + 1](x), like)
        return self.head(x)

    def _features(self, image: Tensor, number: int) -> list[Tensor]:
        """Of images with the noise of the step TIMES[number]."""
        more, less = self.levels[number]
        if self.training:
            noise = torch.randn_like(image)
            signal = less + (more - less) * torch.rand(len(image), device=image.device)
        else:
            generator = torch.Generator().manual_seed(SEED + number)
            noise = torch.randn(1, *image.shape[1:], generator=generator).to(image)
            signal = image.new_full((len(image),), (more + less) / 2)
        share = signal.view(-1, 1, 1, 1)
        return self.backbone(share * image + (1 - share**2).sqrt() * noise, signal)


def _merge(width: int) -> nn.Sequential:
    """A level at all steps of noise to the level's own channels."""
    return nn.Sequential(
        nn.Conv2d(len(TIMES) * width, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
    )


class Attended(nn.Module):
    """A convolution, weighed by channel and by pixel (Roy et al. 2018, arXiv 1803.02579, figure 1)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(before, after, 3, padding=1)
        self.channels = nn.Sequential(
            nn.Linear(after, after // 2), nn.ReLU(), nn.Linear(after // 2, after), nn.Sigmoid()
        )
        self.pixels = nn.Sequential(nn.Conv2d(after, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.convolve(x))
        weight = self.channels(x.mean(dim=(2, 3)))[..., None, None]
        return x * weight + x * self.pixels(x)
