"""HCGMNet (Han, Wu and Du 2023, doi 10.1109/IGARSS52108.2023.10283341, figures 1 and 2): a first map of
change from all levels of both dates together, which guides attention on three of them, and a second map
from those."""

import torch
from torch import Tensor, nn

from models.layers.change_guide import Guide, Guided, convolution, names
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (ChengxiHAN/HCGMNet-CD), without the restarts of its cosine, and of its "
    "augmentation without mosaics, crops, colour enhancement and label noise; it turns a fifth of the "
    "pairs by up to 15 degrees, here half of them turn by up to 5",
    {"optimiser": "adamw", "learning_rate": 5e-4, "weight_decay": 2.5e-3, "batch": 8, "loss": "bce",
     "epochs": 50, "augment": ("flip", "rotate"), "weights": "pretrained"},
)  # fmt: skip
PUBLISHED = (
    *names({r"up_layer(\d)": r"refine.\1", r"deocde\.(\d)": r"first.\1", r"deocde_final\.(\d)": r"head.\1"}),
    (r"^deocde\.3\.", "first.3."),
    (r"^deocde_final\.3\.", "head.3."),
)
"""Names in checkpoints of the published code."""


class HCGMNet(Guided):
    """Sides of any length from 32 pixels up."""

    explained = ("head.2",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        widths = {"4": 512, "3": 512, "2": 256}
        self.refine = nn.ModuleDict({level: convolution(width, width) for level, width in widths.items()})
        self.first = _decoder()
        self.guided = nn.ModuleDict({level: Guide(widths[level]) for level in ("2", "3", "4")})
        self.head = _decoder()

    def maps(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        finest = levels[0]
        refined = {level: refine(levels[int(level) - 1]) for level, refine in self.refine.items()}
        first = self.first(_together(finest, [refined[level] for level in self.guided]))
        guided = [guide(refined[level], first) for level, guide in self.guided.items()]
        return self.head(_together(finest, guided)), first


def _together(finest: Tensor, coarser: list[Tensor]) -> Tensor:
    return torch.cat([finest, *(resized(x, finest, align_corners=True) for x in coarser)], dim=1)


def _decoder() -> nn.Sequential:
    steps = ((1408, 512), (512, 256), (256, 64))
    return nn.Sequential(*(convolution(a, b) for a, b in steps), nn.Conv2d(64, 1, 3, padding=1))
