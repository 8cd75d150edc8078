"""FC-EF, early fusion (Daudt, Le Saux and Boulch 2018, doi 10.1109/ICIP.2018.8451652, figure 1a): a
U-Net over the bands of both dates."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model
from models.layers.fc import PUBLISHED, Decoder, Encoder
from models.recipes import FC

RECIPE = FC


class FCEF(Model):
    """Sides of any length from 16 pixels up. `width`: channels of the first level, 16 in the paper."""

    backbone_parts = ("encoder",)
    published = PUBLISHED
    explained = ("decoder.blocks.3", "decoder.blocks.2", "decoder.blocks.1")

    def __init__(self, in_channels: int, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder = Encoder(2 * in_channels, width, dropout)
        self.decoder = Decoder(width, skips=1, dropout=dropout)
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        levels = self.encoder(torch.cat([a, b], dim=1))
        return self.head(self.decoder(F.max_pool2d(levels[-1], 2), levels))
