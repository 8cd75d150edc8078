"""LSNet (Liu, Pan, Chen, Zhang and Shi 2022, arXiv 2201.09156, figures 1 to 4), its form with diffFPN: a
light Siamese backbone of context-guided blocks, a pyramid over both dates in which levels meet only where
they must, and coordinate attention.

Both dates pass the backbone together in training too, as published: batch norm sees them as one batch.
"""

import re
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.attention import CoordinateAttention
from models.layers.initial import he_normal
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (qaz670756/LSNet), with diffFPN and the loss `hybrid`, where its metadata.json "
    "names denseFPN and `contra_hybrid` (the same for each of three maps, by 1, 1/4 and 1/8); OMS2CD has "
    "batches of 6 and at most 50 epochs",
    {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2, "schedule": "step", "step_epochs": 8,
     "step_factor": 0.5, "batch": 12, "loss": "bce-dice-both", "epochs": 101},
)  # fmt: skip
WIDTHS, BLOCKS = (32, 64, 128, 256), (3, 3, 8, 12)
DILATIONS, REDUCTIONS = (1, 2, 4, 8), (4, 8, 16, 32)
WHERE = {
    "backbone.stem": "stages.0.blocks", "backbone.level1": "stages.1.blocks",
    "backbone.level2": "stages.2.blocks", "backbone.level3": "stages.3.blocks",
    "FPN.lateral_convs": "lateral", "FPN.top_down_convs": "top_down", "FPN.diff_convs": "differences",
}  # fmt: skip
PARTS = {
    "conv1x1": "reduce", "f_loc": "local", "f_sur": "surrounding", "bn": "joint.0", "activate": "joint.1",
    "f_glo.fc": "weigh",
}  # fmt: skip


def _block(found: re.Match[str]) -> str:
    return f"{WHERE[found['where']]}.{found['number']}.{PARTS[found['part']]}."


PUBLISHED: Names = (
    (rf"^(?P<where>{'|'.join(WHERE)})\.(?P<number>\d+)\.(?:0\.)?(?P<part>{'|'.join(PARTS)})\.", _block),
    (r"^backbone\.norm_prelu_(\d)\.", r"stages.\1.norm."),
    (r"^head\.ca\.(?:conv|bn)1\.", lambda found: f"attention.mix.{int('bn' in found[0])}."),
    (r"^head\.ca\.conv2\.", "attention.of_rows."),
    (r"^head\.ca\.conv3\.", "attention.of_columns."),
    (r"^head\.conv_final\.", "head."),
)
"""Names in checkpoints of the published code."""


class LSNet(Siamese):
    """Sides of any length from 16 pixels up."""

    together = True
    backbone_parts = ("stages",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        # The image, whole and halved, is laid beside the first two levels.
        joined = (in_channels + WIDTHS[0], in_channels + 2 * WIDTHS[1], 2 * WIDTHS[2], 2 * WIDTHS[3])
        self.stages = nn.ModuleList(
            Stage(level, before, after)
            for level, (before, after) in enumerate(zip((in_channels, *joined[:-1]), joined, strict=True))
        )
        self.lateral = nn.ModuleList(_block_of(2 * joined[level], 32 * 2**level, level) for level in range(4))
        self.top_down = nn.ModuleList(
            _block_of(32 * 2**level, 32 * 2 ** (level - 1), level) for level in (3, 2, 1)
        )
        self.differences = nn.ModuleList(
            _block_of(96 * 2**level, 32 * 2**level, level) for level in (0, 1, 2, 0, 1)
        )
        self.differences.append(_block_of(96, 64, 0))
        self.attention = CoordinateAttention(128, 8, nn.Hardswish)
        self.head = nn.Conv2d(128, 1, 1)
        he_normal(self, "fan_out")

    def encode(self, image: Tensor) -> Features:
        x, levels = image, []
        beside = [image, F.avg_pool2d(image, 3, 2, 1), None, None]
        for stage, more in zip(self.stages, beside, strict=True):
            x = stage(x, more)
            levels.append(x)
        return levels

    def decode(self, a: Features, b: Features) -> Tensor:
        joined = zip(self.lateral, a, b, strict=True)
        levels = [block(torch.cat([x, y], dim=1)) for block, x, y in joined]
        for block, level in zip(self.top_down, (3, 2, 1), strict=True):
            levels[level - 1] = levels[level - 1] + _grown(block(levels[level]), levels[level - 1])
        finest, blocks = [], iter(self.differences)
        while len(levels) > 1:
            levels = [
                next(blocks)(torch.cat([fine, _grown(deep, fine)], dim=1)) for fine, deep in pairwise(levels)
            ]
            finest.append(levels[0])
        return self.head(self.attention(torch.cat(finest, dim=1)))


def _grown(x: Tensor, like: Tensor) -> Tensor:
    return resized(x, like, align_corners=True)


def _block_of(before: int, after: int, level: int) -> "Block":
    return Block(before, after, level, added=False)


class Stage(nn.Module):
    """Blocks of one level, the first of which halves the size below the finest level; its output, or the
    image, is laid beside the last one's."""

    def __init__(self, level: int, before: int, joined: int) -> None:
        super().__init__()
        width, halved = WIDTHS[level], level > 0
        self.halved = halved
        self.blocks = nn.ModuleList([Block(before, width, level, added=False, halved=halved)])
        self.blocks.extend(Block(width, width, level, added=True) for _ in range(BLOCKS[level] - 1))
        self.norm = nn.Sequential(_norm(joined), nn.PReLU(joined))

    def forward(self, x: Tensor, beside: Tensor | None) -> Tensor:
        first = x = self.blocks[0](x)
        for block in self.blocks[1:]:
            x = block(x)
        parts = [x, *([first] if self.halved else []), *([] if beside is None else [beside])]
        return self.norm(torch.cat(parts, dim=1))


class Block(nn.Module):
    """Context-guided (Wu et al. 2021, arXiv 1811.08201, figure 3): each pixel's neighbours near and far,
    weighed by the whole image; without the convolution that halves channels after halving the size."""

    def __init__(self, before: int, after: int, level: int, *, added: bool, halved: bool = False) -> None:
        super().__init__()
        half, by, kernel = after // 2, DILATIONS[level], 3 if halved else 1
        self.added = added
        self.reduce = nn.Sequential(
            nn.Conv2d(before, half, kernel, 2 if halved else 1, kernel // 2), _norm(half), nn.PReLU(half)
        )
        self.local = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.surrounding = nn.Conv2d(half, half, 3, padding=by, dilation=by, groups=half, bias=False)
        self.joint = nn.Sequential(_norm(after), nn.PReLU(after))
        squeezed = after // REDUCTIONS[level]
        self.weigh = nn.Sequential(
            nn.Linear(after, squeezed), nn.ReLU(), nn.Linear(squeezed, after), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        y = self.joint(torch.cat([self.local(y), self.surrounding(y)], dim=1))
        y = y * self.weigh(y.mean(dim=(2, 3)))[..., None, None]
        return x + y if self.added else y


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=0.01)
