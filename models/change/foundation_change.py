"""Change from a foundation encoder: both dates through any vision backbone of `transformers`, and a small
decoder over their maps and the maps' differences; frozen (`mode: frozen`), with low-rank adapters (`mode:
lora`) or trained whole."""

import torch
from torch import Tensor, nn

from models.base import Features, Siamese
from models.layers.foundation import Decoder, FoundationEncoder
from models.recipes import FOUNDATION

RECIPE = FOUNDATION


class FoundationChange(Siamese):
    """`backbone`: a name (`models.layers.foundation.NAMED`), one on the hub, or a folder; `width`: channels
    of the decoder."""

    backbone_parts = ("encoder.network",)
    head_parts = ("encoder.neck", "compare", "decoder", "head")

    def __init__(self, in_channels: int, backbone: str = "dinov3-vits16", width: int = 128) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder = FoundationEncoder(backbone, in_channels, width)
        self.pretrained = self.encoder.pretrained
        self.compare = nn.ModuleList(nn.Conv2d(3 * width, width, 1) for _ in range(4))
        self.decoder = Decoder(4, width)
        self.head = nn.Conv2d(width, 1, 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        # Of the image itself only its size is needed further on.
        return [*self.encoder(image), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        height, width = a[-1].shape[-2:]
        maps = [
            own(torch.cat([x, y, (x - y).abs()], dim=1))
            for own, x, y in zip(self.compare, a[:-1], b[:-1], strict=True)
        ]
        return self.head(self.decoder(maps, self.encoder.coarsest, (height, width)))
