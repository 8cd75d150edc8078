"""Mask2Former (Cheng et al. 2022, arXiv 2112.01527, figure 2) over Swin, as `transformers` has it.

It predicts masks, each with a class, and is trained by matching them to the true ones. Background and
footprint are its classes: a class's score at a pixel is the sum over the masks of their chance to be of the
class times the chance that the pixel is in them, and the paper's semantic inference takes the class with
the highest. The logit is the difference of the logarithms of both, positive where that is the footprint.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from minebench.masks import UNKNOWN
from models.base import Model
from models.layers.backbones import HUB, STAGES, SWIN
from models.layers.configured import configured
from models.layers.resize import resized
from models.recipes import FOOTPRINTS

RECIPE = FOOTPRINTS
WINDOW = {"swin-t": 7, "swin-b": 12}
"""Pixels a side of Swin's windows: the paper's Swin-B is the one made for images of 384."""
PRETRAINED = {"swin-t": HUB["swin-t"], "swin-b": "microsoft/swin-base-patch4-window12-384"}
OUTSIDE = -30.0
"""Logit of a pixel that is certainly not in a mask."""
TINY = 1e-12
"""The least score, so that it has a logarithm."""


class Mask2Former(Model):
    """Sides of any length from 32 pixels up."""

    version = 2
    smallest = 32
    backbone_parts = ("network.model.pixel_level_module.encoder",)
    head_parts = ("network.class_predictor", "network.model.transformer_module")
    explained = ("network.model.pixel_level_module.decoder.mask_projection",)

    def __init__(self, in_channels: int, backbone: str = "swin-b") -> None:
        super().__init__()
        self.in_channels = in_channels
        self.pretrained = PRETRAINED[backbone]
        shape = {**SWIN[backbone], "drop_path_rate": 0.3, "window_size": WINDOW[backbone]}
        swin = configured(SwinConfig, num_channels=in_channels, out_features=STAGES, **shape)
        self.network = Mask2FormerForUniversalSegmentation(
            configured(Mask2FormerConfig, backbone_config=swin, num_labels=2, use_auxiliary_loss=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = self.network(x)
        share = found.class_queries_logits.float().softmax(dim=-1)[..., :2]
        inside = found.masks_queries_logits.float().sigmoid()
        scores = torch.einsum("nqc,nqhw->nchw", share, inside)
        background, footprint = resized(scores, x).clamp_min(TINY).log().chunk(2, dim=1)
        return footprint - background

    def matched_loss(self, images: Tensor, label: Tensor) -> Tensor:
        """The paper's loss (equation 3): masks matched to the true ones, unknown pixels left out.

        `label` (N, H, W) in {0, 1, 255}. The loss is taken at sampled points of masks at 1/4 of the
        size; where a pixel of such a cell is unknown, both the masks and the truth are made certain
        background in the cell, which costs nothing.
        """
        found = self.network(images, output_auxiliary_logits=True)
        size = found.masks_queries_logits.shape[-2:]
        known = F.interpolate((label != UNKNOWN).float()[:, None], size=size, mode="area") == 1
        counted = F.interpolate(known.float(), size=label.shape[-2:])[:, 0]
        both = [
            torch.stack([each * (mask == which) for which in (0, 1)])
            for each, mask in zip(counted, label, strict=True)
        ]
        classes = [true.flatten(1).any(dim=1).nonzero()[:, 0] for true in both]
        masks = [true[present] for true, present in zip(both, classes, strict=True)]
        auxiliary = [
            {**each, "masks_queries_logits": torch.where(known, each["masks_queries_logits"], OUTSIDE)}
            for each in found.auxiliary_logits
        ]
        # It says that it takes single tensors, and takes lists: of masks and classes by image, of layers.
        losses = self.network.get_loss_dict(
            masks_queries_logits=torch.where(known, found.masks_queries_logits, OUTSIDE),
            class_queries_logits=found.class_queries_logits,
            mask_labels=masks,  # type: ignore[arg-type]
            class_labels=classes,  # type: ignore[arg-type]
            auxiliary_predictions=auxiliary,  # type: ignore[arg-type]
        )
        return cast(Tensor, sum(losses.values()))
