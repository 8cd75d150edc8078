"""CGNet (Han, Wu, Guo, Hu, Li and Chen 2023, doi 10.1109/JSTARS.2023.3310208, figures 2 to 4): a first map of
change from the deepest level guides attention on each level on the way up to the second.

The published code also makes three convolutions (up_layer2 to up_layer4) that it never runs; here they are
not made.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.change_guide import Guide, Guided, convolution, names
from models.layers.resize import fitted, resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (ChengxiHAN/CGNet-CD), without the restarts of its cosine, and of its "
    "augmentation without mosaics, crops, colour enhancement and label noise; it turns a fifth of the "
    "pairs by up to 15 degrees, here half of them turn by up to 5",
    {"optimiser": "adamw", "learning_rate": 5e-4, "weight_decay": 2.5e-3, "batch": 8, "loss": "bce",
     "epochs": 50, "augment": ("flip", "rotate"), "weights": "pretrained"},
)  # fmt: skip
PUBLISHED = (
    (r"^cgm_(\d)\.(query|key|value)_conv\.", r"guided.\1.guide.\2."),
    (r"^cgm_(\d)\.gamma$", r"guided.\1.guide.gamma"),
    *names(
        {r"decoder\.0": "first.0", r"decoder_final\.0": "head.0", r"decoder_module(\d)": r"guided.\1.merge"}
    ),
    (r"^decoder\.1\.", "first.1."),
    (r"^decoder_final\.1\.", "head.1."),
)
"""Names in checkpoints of the published code."""


class CGNet(Guided):
    """Sides of any length from 32 pixels up."""

    explained = ("head.0",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.first = nn.Sequential(convolution(512, 64), nn.Conv2d(64, 1, 3, padding=1))
        widths = {"4": (512, 512), "3": (512, 256), "2": (256, 128)}
        self.guided = nn.ModuleDict({level: Step(deep, fine) for level, (deep, fine) in widths.items()})
        self.head = nn.Sequential(convolution(128, 64), nn.Conv2d(64, 1, 1))

    def maps(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        first = self.first(resized(levels[-1], levels[0], align_corners=True))
        x = levels[-1]
        for step, finer in zip(self.guided.values(), levels[-2::-1], strict=True):
            x = step(x, first, finer)
        return self.head(x), first


class Step(nn.Module):
    """A level guided, and merged with the next finer one."""

    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.guide = Guide(deep)
        self.merge = convolution(deep + fine, fine)

    def forward(self, x: Tensor, guiding: Tensor, finer: Tensor) -> Tensor:
        x = self.guide(x, guiding)
        grown = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.merge(torch.cat([fitted(grown, finer), finer], dim=1))
