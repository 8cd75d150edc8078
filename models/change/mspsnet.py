"""MSPSNet (Guo, Zhang, Zhu, Zhong and Zhang 2022, doi 10.1109/TGRS.2021.3131993, figures 1 to 4): a Siamese
network of four sizes, parallel dilated convolutions over both dates, and self-attention between channels."""

from models.layers.multiscale import Multiscale, SelfAttention
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (QingleGuo/MSPSNet-Change-Detection-TGRS)",
    {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2, "schedule": "step", "step_epochs": 8,
     "step_factor": 0.5, "batch": 2, "loss": "bce-dice-both", "epochs": 120},
)  # fmt: skip


class MSPSNet(Multiscale):
    """Sides of any length from 16 pixels up."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, SelfAttention)
