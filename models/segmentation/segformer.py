"""SegFormer (Xie et al. 2021, arXiv 2105.15203, figure 2), as `transformers` has it."""

from torch import Tensor
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from models.base import Model, options_of
from models.layers.configured import configured
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
# Table 6: depths of the four stages, and the width of the decoder.
SIZES = {
    "b0": ([2, 2, 2, 2], 256),
    "b1": ([2, 2, 2, 2], 256),
    "b2": ([3, 4, 6, 3], 768),
    "b3": ([3, 4, 18, 3], 768),
    "b4": ([3, 8, 27, 3], 768),
    "b5": ([3, 6, 40, 3], 768),
}


class SegFormer(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("network.segformer",)
    head_parts = ("network.decode_head",)
    explained = ("network.decode_head.classifier",)

    def __init__(self, in_channels: int, size: str = "b0") -> None:
        super().__init__()
        depths, decoder = options_of({"size": size}, SIZES, "segformer")
        self.in_channels = in_channels
        self.pretrained = f"nvidia/mit-{size}"
        self.network = SegformerForSemanticSegmentation(
            configured(
                SegformerConfig,
                num_channels=in_channels,
                num_labels=1,
                depths=depths,
                hidden_sizes=[32, 64, 160, 256] if size == "b0" else [64, 128, 320, 512],
                decoder_hidden_size=decoder,
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.network(x).logits, x)
