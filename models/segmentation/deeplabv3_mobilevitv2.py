"""DeepLabV3 (Chen et al. 2017, arXiv 1706.05587) over MobileViTV2 (Mehta and Rastegari 2022, arXiv
2206.02680), as `transformers` has it, with features at 1/16 as is usual for DeepLabV3."""

from torch import Tensor
from transformers import MobileViTV2Config, MobileViTV2ForSemanticSegmentation

from models.base import Model
from models.layers.configured import configured
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS


class DeepLabV3MobileViTV2(Model):
    """Sides of multiples of 32 pixels. The pooled branch has batch norm over a single pixel an image, so
    training takes batches of two or more."""

    smallest = 32
    multiple = 32
    backbone_parts = ("network.mobilevitv2",)
    head_parts = ("network.segmentation_head",)
    explained = ("network.segmentation_head.classifier",)
    pretrained = "apple/mobilevitv2-1.0-imagenet1k-256"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.network = MobileViTV2ForSemanticSegmentation(
            configured(MobileViTV2Config, num_channels=in_channels, num_labels=1, output_stride=16)
        )

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.network(x).logits, x)
