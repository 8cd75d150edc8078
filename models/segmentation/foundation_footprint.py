"""Footprints from a foundation encoder: any vision backbone of `transformers` with a small decoder, frozen
(`mode: frozen`), with low-rank adapters (`mode: lora`) or trained whole."""

from torch import Tensor, nn

from models.base import Model
from models.layers.foundation import Decoder, FoundationEncoder
from models.recipes import FOUNDATION

RECIPE = FOUNDATION


class FoundationFootprint(Model):
    """`backbone`: a name (`models.layers.foundation.NAMED`), one on the hub, or a folder; `width`: channels
    of the decoder."""

    backbone_parts = ("encoder.network",)
    head_parts = ("encoder.neck", "decoder", "head")

    def __init__(self, in_channels: int, backbone: str = "dinov3-vits16", width: int = 128) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.encoder = FoundationEncoder(backbone, in_channels, width)
        self.pretrained = self.encoder.pretrained
        self.decoder = Decoder(4, width)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        return self.head(self.decoder(self.encoder(image), self.encoder.coarsest, (height, width)))
