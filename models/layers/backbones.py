"""Encoders from `transformers` with any number of input bands, as lists of feature maps.

Each comes without weights; `models.training.weights` fills it from the hub name given here, or from a file.
"""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import (
    ConvNextBackbone,
    ConvNextConfig,
    ResNetBackbone,
    ResNetConfig,
    SwinBackbone,
    SwinConfig,
)
from transformers.utils import logging as reports

from models.base import Name, Names
from models.layers.configured import configured

# It warns of what is none of a user's business (how attention is dispatched).
reports.set_verbosity_error()

STAGES = [f"stage{i}" for i in (1, 2, 3, 4)]

SWIN = {
    "swin-t": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "drop_path_rate": 0.2},
    "swin-s": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "drop_path_rate": 0.3},
    "swin-b": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "drop_path_rate": 0.3},
}
RESNET: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "resnet50": {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
    "resnet101": {
        "depths": [3, 4, 23, 3],
        "hidden_sizes": [256, 512, 1024, 2048],
        "layer_type": "bottleneck",
    },
}
HUB = {
    "swin-t": "microsoft/swin-tiny-patch4-window7-224",
    "swin-s": "microsoft/swin-small-patch4-window7-224",
    "swin-b": "microsoft/swin-base-patch4-window7-224",
    "resnet18": "microsoft/resnet-18",
    "resnet50": "microsoft/resnet-50",
    "resnet101": "microsoft/resnet-101",
    "convnext-b": "facebook/convnext-base-224",
}


def _of_block(found: re.Match[str]) -> str:
    kind = "convolution" if found["part"] in {"conv", "0"} else "normalization"
    block = f"encoder.stages.{int(found['stage']) - 1}.layers.{found['block']}"
    if found["part"] in {"0", "1"}:
        return f"{block}.shortcut.{kind}."
    return f"{block}.layer.{int(found['number']) - 1}.{kind}."


TORCHVISION = (
    (r"conv1\.", "embedder.embedder.convolution."),
    (r"bn1\.", "embedder.embedder.normalization."),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.(?P<part>conv|bn)(?P<number>\d)\.", _of_block),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.(?P<part>[01])\.", _of_block),
)
"""A ResNet's names in torchvision, behind whatever stands before them, and ours."""


def torchvision_resnet(theirs: str, ours: str, stages: str = "layer") -> Names:
    """Names of a ResNet that stands under `theirs` in a published checkpoint (a pattern), its `stages` so
    named, and under `ours` here."""

    def behind(name: Name) -> Name:
        return f"{ours}{name}" if isinstance(name, str) else lambda found: f"{ours}{name(found)}"

    return tuple(
        (rf"^{theirs}{pattern.replace('layer', stages)}", behind(name)) for pattern, name in TORCHVISION
    )


class Backbone(nn.Module):
    """Four feature maps (N, channels[i], H/4.., W/4..) of an image (N, C, H, W), at 1/4 to 1/32."""

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        self.network: Any = BUILDERS[name](in_channels)
        self.channels = [int(width) for width in self.network.channels]
        self.pretrained = HUB[name]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(image).feature_maps)


def resnet18(in_channels: int, stages: int = 4, stem: bool = False) -> Any:
    """The first stages of a ResNet-18: 64 channels at 1/4, 128 at 1/8, 256 at 1/16, 512 at 1/32; before them
    the `stem`'s 64 at 1/4 where that is asked for."""
    shape = {"depths": [2] * stages, "hidden_sizes": [64, 128, 256, 512][:stages], "layer_type": "basic"}
    given = [*(["stem"] if stem else []), *STAGES[:stages]]
    return ResNetBackbone(configured(ResNetConfig, num_channels=in_channels, out_features=given, **shape))


def keep_resolution(stage: nn.Module, dilation: int = 1) -> None:
    """Take the stride out of a ResNet stage, and let its windows grow instead."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)


def _swin(shape: dict[str, Any]) -> Callable[[int], Any]:
    return lambda bands: SwinBackbone(
        configured(SwinConfig, num_channels=bands, out_features=STAGES, **shape)
    )


def _resnet(shape: dict[str, Any]) -> Callable[[int], Any]:
    return lambda bands: ResNetBackbone(
        configured(ResNetConfig, num_channels=bands, out_features=STAGES, **shape)
    )


def _convnext(bands: int) -> nn.Module:
    shape = {"hidden_sizes": [128, 256, 512, 1024], "depths": [3, 3, 27, 3], "drop_path_rate": 0.4}
    return ConvNextBackbone(configured(ConvNextConfig, num_channels=bands, out_features=STAGES, **shape))


BUILDERS: dict[str, Callable[[int], Any]] = {
    **{name: _swin(shape) for name, shape in SWIN.items()},
    **{name: _resnet(shape) for name, shape in RESNET.items()},
    "convnext-b": _convnext,
}
