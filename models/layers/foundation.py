"""Any vision backbone of `transformers` by name, as four maps of one width: what a small decoder begins with.

Names with a configuration here build without a network; `owner/name` takes it from the Hugging Face hub, and
a folder from its config.json. Weights come in later (`weights: pretrained`, a name, a file or a folder).
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, DINOv3ViTConfig

from minebench.errors import InputError, WorkError
from models.layers.backbones import BUILDERS, HUB
from models.layers.configured import configured

DINOV3: dict[str, dict[str, int]] = {
    "dinov3-vits16": {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12},
    "dinov3-vitb16": {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12},
    "dinov3-vitl16-sat": {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24},
}
"""Vision transformers of DINOv3 (Simeoni et al. 2025, arXiv 2508.10104), patches of 16 pixels; the last one's
weights were learnt on satellite images near 1 m."""
DINOV3_HUB = {
    "dinov3-vits16": "facebook/dinov3-vits16-pretrain-lvd1689m",
    "dinov3-vitb16": "facebook/dinov3-vitb16-pretrain-lvd1689m",
    "dinov3-vitl16-sat": "facebook/dinov3-vitl16-pretrain-sat493m",
}
NAMED = (*DINOV3, *BUILDERS)


class FoundationEncoder(nn.Module):
    """Four maps (N, width, h, w) of an image (N, C, H, W): of a transformer's quarters, all of one size, or
    of a pyramid's stages."""

    def __init__(self, backbone: str, in_channels: int, width: int) -> None:
        super().__init__()
        self.network = built(backbone, in_channels)
        self.pretrained = {**HUB, **DINOV3_HUB}.get(backbone, backbone)
        self.coarsest = _coarsest(self.network.config)
        self.neck = nn.ModuleList(nn.Conv2d(int(c), width, 1) for c in self.network.channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        height, width = image.shape[-2:]
        down, right = -height % self.coarsest, -width % self.coarsest
        padded = F.pad(image, (0, right, 0, down), mode="replicate") if down or right else image
        maps = self.network(padded).feature_maps
        return [own(x) for own, x in zip(self.neck, maps, strict=True)]


class Decoder(nn.Module):
    """Maps of one width, brought to the size of the first, joined, and brought to the image's `size`, which
    was padded to multiples of `coarsest`: (N, width, H, W)."""

    def __init__(self, maps: int, width: int) -> None:
        super().__init__()
        self.joined = nn.Sequential(
            nn.Conv2d(maps * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    def forward(self, maps: list[Tensor], coarsest: int, size: tuple[int, int]) -> Tensor:
        first = maps[0].shape[-2:]
        same = [F.interpolate(x, size=first, mode="bilinear") if x.shape[-2:] != first else x for x in maps]
        found = self.joined(torch.cat(same, dim=1))
        whole = [side + -side % coarsest for side in size]
        return F.interpolate(found, size=whole, mode="bilinear")[..., : size[0], : size[1]]


def built(backbone: str, in_channels: int) -> Any:
    """A backbone of `transformers` with four maps. InputError where it is none, WorkError where the hub does
    not give its configuration."""
    if backbone in BUILDERS:
        return BUILDERS[backbone](in_channels)
    if backbone in DINOV3:
        shape = DINOV3[backbone] | {"patch_size": 16, "num_register_tokens": 4}
        config = configured(DINOv3ViTConfig, intermediate_size=4 * shape["hidden_size"], **shape)
    else:
        config = _configuration(backbone)
    try:
        config.num_channels = in_channels
        config.out_indices = _quarters(config)
        network = AutoBackbone.from_config(config)
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"options: backbone: {backbone} is no vision backbone ({str(error).splitlines()[0][:100]})."
        ) from None
    if getattr(getattr(network, "embeddings", None), "mask_token", None) is not None:
        network.embeddings.mask_token = None  # of its own training: nothing is masked here
    return network


def _configuration(backbone: str) -> Any:
    is_folder = Path(backbone).is_dir()
    if not is_folder and backbone.count("/") != 1:
        raise InputError(
            f"options: backbone is '{backbone}'; choose one of {', '.join(NAMED)}, a name on the Hugging "
            "Face hub (owner/name), or a folder with a config.json."
        )
    try:
        return AutoConfig.from_pretrained(backbone)
    except Exception as error:  # offline, unknown, gated, broken: each its own class
        said = str(error).strip().splitlines()[0][:120]
        kind = InputError if is_folder else WorkError
        raise kind(f"options: backbone: {backbone} gives no configuration ({said}).") from None


def _quarters(config: Any) -> list[int]:
    """The stages of a pyramid, or the ends of a transformer's quarters."""
    if hasattr(config, "depths"):
        return [1, 2, 3, 4]
    layers = int(config.num_hidden_layers)
    return [layers * quarter // 4 for quarter in (1, 2, 3, 4)]


def _coarsest(config: Any) -> int:
    """Sides of an image are padded to multiples of this, pixels."""
    return 32 if hasattr(config, "depths") else int(config.patch_size)
