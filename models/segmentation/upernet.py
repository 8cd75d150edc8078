"""UPerNet (Xiao et al. 2018, arXiv 1807.10221, figure 4) over Swin or ConvNeXt, with heads from
`transformers`. An auxiliary head on the third level helps in training, weighed 0.4."""

from torch import Tensor
from transformers import UperNetConfig
from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

from models.base import Model
from models.layers.backbones import Backbone
from models.layers.configured import configured
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
AUXILIARY = 0.4


class UPerNet(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone.network",)
    head_parts = ("decode_head", "auxiliary_head")
    explained = ("decode_head.classifier",)

    def __init__(self, in_channels: int, backbone: str = "swin-b") -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = Backbone(backbone, in_channels)
        self.pretrained = self.backbone.pretrained
        channels = self.backbone.channels
        encoder = self.backbone.network.config
        config = configured(
            UperNetConfig, backbone_config=encoder, num_labels=1, auxiliary_in_channels=channels[2]
        )
        self.decode_head = UperNetHead(config, channels)
        self.auxiliary_head = UperNetFCNHead(config, channels)

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.decode_head(self.backbone(x)), x)

    def supervised(self, *images: Tensor) -> list[tuple[float, Tensor]]:
        levels = self.backbone(images[0])
        return [
            (1.0, resized(self.decode_head(levels), images[0])),
            (AUXILIARY, resized(self.auxiliary_head(levels), images[0])),
        ]
