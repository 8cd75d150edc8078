"""SNUNet-ECAM (Fang, Li, Shao and Li 2021, doi 10.1109/LGRS.2021.3056416, figures 1 and 2): a nested
U-Net over the encoders of both dates, its four full-size outputs weighed by channel attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.attention import ChannelAttention
from models.layers.initial import he_normal
from models.layers.resize import fitted
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (likyoo/Siam-NestedUNet)",
    {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2, "schedule": "step", "step_epochs": 8,
     "step_factor": 0.5, "batch": 16, "loss": "bce-dice-both", "epochs": 100},
)  # fmt: skip
LEVELS = 5
BLOCK = (("conv1", "first"), ("bn1", "rest.0"), ("conv2", "rest.2"), ("bn2", "rest.3"))
PUBLISHED: Names = (
    *(
        (rf"^conv{theirs}\.{part}\.", f"{ours}.{own}.")
        for theirs, ours in (("([0-3])_0", r"encoders.\1"), ("4_0", "bottom"), (r"(\d)_(\d)", r"nodes.\1\2"))
        for part, own in BLOCK
    ),
    (r"^Up(\d)_(\d)\.up\.", lambda found: f"ups.{int(found[1]) - 1}{int(found[2]) + 1}."),
    (r"^ca1\.fc([12])\.", lambda found: f"within.squeeze.{2 * int(found[1]) - 2}."),
    (r"^ca\.fc([12])\.", lambda found: f"across.squeeze.{2 * int(found[1]) - 2}."),
    (r"^conv_final\.", "head."),
)
"""Names in checkpoints of the published code."""


class SNUNet(Siamese):
    """Sides of any length from 16 pixels up. `width`: channels of the first level, 32 in the paper's
    largest form, doubling down to the fifth."""

    version = 2
    backbone_parts = ("encoders", "bottom")
    published = PUBLISHED

    def __init__(self, in_channels: int, width: int = 32) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [width * 2**level for level in range(LEVELS)]
        self.encoders = nn.ModuleList(
            Residual(before, after)
            for before, after in zip([in_channels, *widths], widths[:-1], strict=False)
        )
        self.bottom = Residual(widths[3], widths[4])
        # Node (level, step) of figure 1 takes both dates, the steps before it, and what is below it.
        self.nodes, self.ups = nn.ModuleDict(), nn.ModuleDict()
        for step in range(1, LEVELS):
            for level in range(LEVELS - step):
                here, below = widths[level], widths[level + 1]
                self.nodes[f"{level}{step}"] = Residual((step + 1) * here + below, here)
                self.ups[f"{level}{step}"] = nn.ConvTranspose2d(below, below, 2, stride=2)
        self.within = ChannelAttention(width, 4)
        self.across = ChannelAttention(4 * width, 16)
        self.head = nn.Conv2d(4 * width, 1, 1)
        he_normal(self, "fan_out")

    def encode(self, image: Tensor) -> Features:
        levels: list[Tensor] = []
        for encoder in self.encoders:
            image = encoder(F.max_pool2d(image, 2) if levels else image)
            levels.append(image)
        return levels

    def decode(self, a: Features, b: Features) -> Tensor:
        grid = [[first, second] for first, second in zip(a, b, strict=True)]
        # The deepest level sees the later date only.
        below = [*(second for _, second in grid[1:]), self.bottom(F.max_pool2d(b[-1], 2))]
        for step in range(1, LEVELS):
            after = []
            for level in range(LEVELS - step):
                up = fitted(self.ups[f"{level}{step}"](below[level]), grid[level][0])
                after.append(self.nodes[f"{level}{step}"](torch.cat([*grid[level], up], dim=1)))
                grid[level].append(after[-1])
            below = after[1:]
        return self.head(self._ensemble(grid[0][2:]))

    def _ensemble(self, outputs: list[Tensor]) -> Tensor:
        """Equations 5 to 7: attention within the sum of the four outputs and across all of them."""
        together = torch.cat(outputs, dim=1)
        inner = self.within(torch.stack(outputs).sum(dim=0)).repeat(1, len(outputs), 1, 1)
        return self.across(together) * (together + inner)


class Residual(nn.Module):
    """Two 3x3 convolutions, the first one's output added to the second's (figure 1, right)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return F.relu(x + self.rest(x))
