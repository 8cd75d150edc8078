"""Mask2Former (Cheng et al. 2022, arXiv 2112.01527, figure 2) over Swin, as `transformers` has it.

It predicts masks, each with a class, and is trained by matching them to the true ones. The footprint is
the one class here: a pixel's probability is the sum over the masks of their chance to be footprint
times the chance that the pixel is in them (the paper's semantic inference), given as a logit.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from models.base import Model
from models.layers.backbones import HUB, STAGES, SWIN
from models.layers.resize import resized
from models.recipes import FOOTPRINTS
from pipeline.core.masks import UNKNOWN

RECIPE = FOOTPRINTS
WINDOW = {"swin-t": 7, "swin-b": 12}
"""Pixels a side of Swin's windows: the paper's Swin-B is the one made for images of 384."""
PRETRAINED = {"swin-t": HUB["swin-t"], "swin-b": "microsoft/swin-base-patch4-window12-384"}
OUTSIDE = -30.0
"""Logit of a pixel that is certainly not in a mask."""


class Mask2Former(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("network.model.pixel_level_module.encoder",)
    head_parts = ("network.class_predictor", "network.model.transformer_module")
    explained = ("network.model.pixel_level_module.decoder.mask_projection",)

    def __init__(self, in_channels: int, backbone: str = "swin-b") -> None:
        super().__init__()
        self.in_channels = in_channels
        self.pretrained = PRETRAINED[backbone]
        shape = {**SWIN[backbone], "drop_path_rate": 0.3, "window_size": WINDOW[backbone]}
        swin = SwinConfig(num_channels=in_channels, out_features=STAGES, **shape)
        self.network = Mask2FormerForUniversalSegmentation(
            Mask2FormerConfig(backbone_config=swin, num_labels=1, use_auxiliary_loss=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = self.network(x)
        share = found.class_queries_logits.float().softmax(dim=-1)[..., 0]
        inside = found.masks_queries_logits.float().sigmoid()
        probability = torch.einsum("nq,nqhw->nhw", share, inside)[:, None]
        return torch.logit(resized(probability, x), eps=1e-6)

    def matched_loss(self, images: Tensor, label: Tensor) -> Tensor:
        """The paper's loss (equation 3): masks matched to the true footprint, unknown pixels left out.

        `label` (N, H, W) in {0, 1, 255}. The loss is taken at sampled points of masks at 1/4 of the
        size; where a pixel of such a cell is unknown, both the masks and the truth are made certain
        background in the cell, which costs nothing.
        """
        found = self.network(images, output_auxiliary_logits=True)
        size = found.masks_queries_logits.shape[-2:]
        known = F.interpolate((label != UNKNOWN).float()[:, None], size=size, mode="area") == 1
        counted = F.interpolate(known.float(), size=label.shape[-2:])[:, 0]
        true = [(each * (mask == 1))[None] for each, mask in zip(counted, label, strict=True)]
        masks = [mask if mask.any() else mask[:0] for mask in true]
        classes = [torch.zeros(len(mask), dtype=torch.long, device=label.device) for mask in masks]
        auxiliary = [
            {**each, "masks_queries_logits": torch.where(known, each["masks_queries_logits"], OUTSIDE)}
            for each in found.auxiliary_logits
        ]
        losses = self.network.get_loss_dict(
            masks_queries_logits=torch.where(known, found.masks_queries_logits, OUTSIDE),
            class_queries_logits=found.class_queries_logits,
            mask_labels=masks,
            class_labels=classes,
            auxiliary_predictions=auxiliary,
        )
        return cast(Tensor, sum(losses.values()))
