"""HANet (Han, Wu, Guo, Hu and Chen 2023, doi 10.1109/JSTARS.2023.3264802, figures 2 to 4): MSPSNet's network
with axial attention, by columns and then by rows, added to the attention between channels.

The published code also makes four convolutions (c1_conv to c4_conv) that it never runs; here they are not
made. Its training begins with foreground pairs and adds the others epoch by epoch (progressive sampling);
here `changed_share` draws half of each batch from pairs with change.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Names
from models.layers.multiscale import PUBLISHED, Multiscale, SelfAttention
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (ChengxiHAN/HANet-CD), but for the order in which pairs without change are "
    "added and its focal term of gamma 0.5, which is cross-entropy here",
    {"optimiser": "adamw", "learning_rate": 5e-4, "weight_decay": 5e-4, "schedule": "step", "step_epochs": 8,
     "step_factor": 0.5, "batch": 8, "loss": "bce-dice-both", "epochs": 50, "changed_share": 0.5},
)  # fmt: skip
AXES = {"row": "rows", "col": "columns"}
OWN: Names = (
    (r"^(row|col)_attention_(\d)\.(query|key|value)_conv\.",
     lambda found: f"meet.{4 - int(found[2])}.attend.{AXES[found[1]]}.{found[3]}."),
    (r"^(row|col)_attention_(\d)\.gamma$",
     lambda found: f"meet.{4 - int(found[2])}.attend.{AXES[found[1]]}.gamma"),
)  # fmt: skip


class HANet(Multiscale):
    """Sides of any length from 16 pixels up."""

    published = (*PUBLISHED, *OWN)

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, Hierarchical)


class Hierarchical(SelfAttention):
    """Attention between channels, and along columns and then rows."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.columns, self.rows = Axial(width), Axial(width)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.rows(self.columns(x.mT).mT)


class Axial(nn.Module):
    """Each pixel attends to those of its row (Ho et al. 2019, arXiv 1912.12180); not scaled, as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(width, width, 1) for _ in range(3))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).permute(0, 2, 3, 1) for part in (self.query, self.key, self.value))
        read = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return self.gamma * read.permute(0, 3, 1, 2) + x
