"""ChangeFormer (Bandara and Patel 2022, arXiv 2201.01293, figure 1): a hierarchical transformer over
each date, difference modules on four levels, and a light decoder.

Sizes are those of the published code's sixth version (41.0 million parameters). Its deep supervision of
the four levels, weighed 0.5, 0.5, 0.5, 0.8 below the result, is the published training script's: each at its
own size, against the truth's nearest pixels.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SegformerConfig, SegformerModel

from models.base import Features, Names, Siamese
from models.layers.attention import split_key_value
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (wgcban/ChangeFormer), without its pretrained encoder, a file of its own",
    {"optimiser": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-2, "schedule": "linear", "batch": 16,
     "loss": "cross-entropy", "epochs": 200, "augment": ("flip", "scale-crop", "blur", "brightness")},
)  # fmt: skip
CHANNELS = (64, 128, 320, 512)
BLOCK = {
    "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.q": "attention.q_proj",
    "attn.kv": "attention.kv", "attn.proj": "attention.o_proj",
    "attn.sr": "attention.sequence_reduction.sequence_reduction",
    "attn.norm": "attention.sequence_reduction.layer_norm", "mlp.fc1": "mlp.fc1",
    "mlp.dwconv.dwconv": "mlp.dwconv.dwconv", "mlp.fc2": "mlp.fc2",
}  # fmt: skip


def _level(found: re.Match[str]) -> int:
    return int(found[1]) - 1


def _as_convolution(weight: Tensor) -> Tensor:
    """A dense layer over channels as a convolution of single pixels."""
    return weight[..., None, None] if weight.ndim == 2 else weight


PUBLISHED: Names = (
    (r"^Tenc_x2\.patch_embed(\d)\.proj\.",
     lambda found: f"backbone.stages.{_level(found)}.patch_embeddings.proj."),
    (r"^Tenc_x2\.patch_embed(\d)\.norm\.",
     lambda found: f"backbone.stages.{_level(found)}.patch_embeddings.layer_norm."),
    (rf"^Tenc_x2\.block(\d)\.(\d)\.({'|'.join(BLOCK)})\.(?=weight|bias)",
     lambda found: f"backbone.stages.{_level(found)}.blocks.{found[2]}.{BLOCK[found[3]]}."),
    (r"^Tenc_x2\.norm(\d)\.", lambda found: f"backbone.stages.{_level(found)}.layer_norm."),
    (r"^TDec_x2\.linear_c(\d)\.proj\.", lambda found: f"embed.{_level(found)}.", _as_convolution),
    (r"^TDec_x2\.diff_c(\d)\.", lambda found: f"difference.{_level(found)}."),
    (r"^TDec_x2\.make_pred_c(\d)\.", lambda found: f"side.{_level(found)}."),
    (r"^TDec_x2\.linear_fuse\.", "fuse."),
    (r"^TDec_x2\.convd([12])x\.conv2d\.", lambda found: f"grow.{2 - int(found[1])}.up."),
    (r"^TDec_x2\.dense_([12])x\.0\.conv([12])\.conv2d\.",
     lambda found: f"grow.{2 - int(found[1])}.{'first' if found[2] == '1' else 'second'}."),
    (r"^TDec_x2\.change_probability\.conv2d\.", "head."),
)  # fmt: skip
"""Names in checkpoints of the published code."""
SUPERVISED = (0.5, 0.5, 0.5, 0.8)


class ChangeFormer(Siamese):
    """Sides of any length from 32 pixels up. `width`: channels of the decoder, 256 in the code."""

    version = 2
    smallest = 32
    backbone_parts = ("backbone",)
    explained = ("fuse",)
    published = PUBLISHED

    def __init__(self, in_channels: int, width: int = 256) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = SegformerModel(
            SegformerConfig(
                num_channels=in_channels,
                patch_sizes=[7, 7, 7, 7],  # the code's; the paper says 3 below the first level
                depths=[3, 3, 4, 3],
                hidden_sizes=list(CHANNELS),
                num_attention_heads=[1, 2, 4, 8],
                sr_ratios=[8, 4, 2, 1],
                hidden_dropout_prob=0.1,
                attention_probs_dropout_prob=0.1,
                drop_path_rate=0.1,
            )
        )
        for name, part in self.backbone.named_modules():
            # The norms of blocks and stages; those of patches and of attention have PyTorch's own.
            if isinstance(part, nn.LayerNorm) and "patch" not in name and "sequence_reduction" not in name:
                part.eps = 1e-6
        self.embed = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in CHANNELS)
        self.difference = nn.ModuleList(_difference(width) for _ in CHANNELS)
        self.side = nn.ModuleList(_prediction(width) for _ in CHANNELS)
        self.fuse = nn.Sequential(nn.Conv2d(4 * width, width, 1), nn.BatchNorm2d(width))
        self.grow = nn.ModuleList(_Grow(width) for _ in range(2))
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    @staticmethod
    def rearranged(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published code has key and value in one."""
        return split_key_value(state, "k_proj", "v_proj")

    def encode(self, image: Tensor) -> Features:
        maps = self.backbone(image, output_hidden_states=True).hidden_states
        # The last one only carries the image's size.
        return [*(embed(x) for embed, x in zip(self.embed, maps, strict=True)), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return self._decoded(self._levels(a, b), a[-1])

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        levels = self._levels(a, b)
        sides = zip(SUPERVISED, reversed(self.side), reversed(levels), strict=True)
        return [
            (1.0, self._decoded(levels, a[-1])),
            *((weight, side(level)) for weight, side, level in sides),
        ]

    def _levels(self, a: Features, b: Features) -> list[Tensor]:
        """Differences on the four levels, finest first, each with the coarser one added."""
        found: list[Tensor] = []
        for level in (3, 2, 1, 0):
            x = self.difference[level](torch.cat([a[level], b[level]], dim=1))
            found.append(x + resized(found[-1], x) if found else x)
        return found[::-1]

    def _decoded(self, levels: list[Tensor], image: Tensor) -> Tensor:
        x = self.fuse(torch.cat([resized(level, levels[0]) for level in reversed(levels)], dim=1))
        for grow in self.grow:
            x = grow(x)
        return self.head(resized(x, image))


class _Grow(nn.Module):
    """Twice the size by a transposed convolution, refined by a small residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        return x + 0.1 * self.second(F.relu(self.first(x)))


def _difference(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2 * width, width, 3, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
    )


def _prediction(width: int) -> nn.Sequential:
    """Of two classes but for the last convolution, as published: each has its own batch norm."""
    return nn.Sequential(
        nn.Conv2d(width, 2, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 3, padding=1)
    )
