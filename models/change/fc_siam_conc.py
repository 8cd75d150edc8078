"""FC-Siam-conc (Daudt, Le Saux and Boulch 2018, doi 10.1109/ICIP.2018.8451652, figure 1b).

One encoder sees both dates; the decoder takes the deepest features of the later date and, at each
level, both dates' features side by side. Built as in the authors' code, 1.55 million parameters;
INSINet's paper counts 1.99 million for a form that it does not describe.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Siamese
from models.layers.fc import PUBLISHED, Decoder, Encoder
from models.recipes import FC

RECIPE = FC


class FCSiamConc(Siamese):
    """Sides of any length from 16 pixels up. `width`: channels of the first level, 16 in the paper."""

    backbone_parts = ("encoder",)
    published = PUBLISHED
    explained = ("decoder.blocks.3", "decoder.blocks.2", "decoder.blocks.1")

    def __init__(self, in_channels: int, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder = Encoder(in_channels, width, dropout)
        self.decoder = Decoder(width, skips=2, dropout=dropout)
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def encode(self, image: Tensor) -> Features:
        return self.encoder(image)

    def decode(self, a: Features, b: Features) -> Tensor:
        skips = [torch.cat(levels, dim=1) for levels in zip(a, b, strict=True)]
        return self.head(self.decoder(F.max_pool2d(b[-1], 2), skips))
