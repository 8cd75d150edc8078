"""AFCF3D-Net (Ye, Wang, Zhou, Guan, Chen and Li 2023, doi 10.1109/TGRS.2023.3300317, figures 2 to 6): both
dates are two frames of a film, through a ResNet-18 whose convolutions also look from one date to the other,
neighbouring levels fused, and a decoder that joins all levels at each size along time.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Model, Names
from models.layers.attention import CoordinateAttention
from models.layers.convolutions import conv_bn
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (wm-Githuber/AFCF3D-Net), without its clamp of single gradients and its random "
    "contrast",
    {"optimiser": "adamw", "learning_rate": 1e-4, "weight_decay": 1e-4, "batch": 8, "loss": "bce-dice",
     "epochs": 100, "augment": ("flip", "rotate", "brightness", "blur"), "weights": "pretrained"},
)  # fmt: skip
WIDTHS = (64, 64, 128, 256, 512)
WIDTH = 32
"""Of the levels behind the backbone."""
TIMES = {"conv3d_spatial": "spatial", "conv3d_time_1": "to_later", "conv3d_time_2": "own",
         "conv3d_time_3": "to_earlier"}  # fmt: skip
COORDINATE = {"conv1": "mix.0", "bn1": "mix.1", "conv2": "of_rows", "conv3": "of_columns"}
FUSED = {"conv_down": "down", "conv_up": "up", "conv_cat": "merge"}


PUBLISHED: Names = (
    (r"^resnet\.(.*)(conv3d_\w+)\.", lambda found: f"backbone.{found[1]}{TIMES[found[2]]}."),
    (r"^resnet\.", "backbone."),
    (r"^decoder\.reduction(\d)\.reduce\.(\d)\.conv_bn\.", r"reduce.\1.\2."),
    (r"^decoder\.AFCF_fuse\.AFCF(\d)\.SE\.(\w+)\.",
     lambda found: f"fuse.{int(found[1]) - 1}.attention.{COORDINATE[found[2]]}."),
    (r"^decoder\.AFCF_fuse\.AFCF(\d)\.(\w+)\.((?:\d\.)?)conv_bn\.",
     lambda found: f"fuse.{int(found[1]) - 1}.{FUSED[found[2]]}.{found[3]}"),
    (r"^decoder\.output\.conv_downsample\.conv_bn\.", "down."),
    (r"^decoder\.output\.conv_upsample\.conv_bn\.", "up."),
    (r"^decoder\.output\.SE_(\d)\.(\w+)\.",
     lambda found: f"steps.{3 - int(found[1])}.attention.{COORDINATE[found[2]]}."),
    (r"^decoder\.output\.conv_cat_(\d)\.(\d)\.conv_bn\.",
     lambda found: f"steps.{3 - int(found[1])}.merge.{found[2]}."),
    (r"^decoder\.output\.downT(\d)\.(\d)\.conv_bn\.",
     lambda found: f"steps.{3 - int(found[1])}.shorten.{found[2]}."),
    (r"^decoder\.output\.downfinal\.(\d)\.conv_bn\.", r"steps.3.shorten.\1."),
    (r"^decoder\.output\.out\.([01])\.conv_bn\.", r"head.\1."),
    (r"^decoder\.output\.out\.2\.", "head.2."),
)  # fmt: skip
"""Names in checkpoints of the published code. Its downT0 never runs, nor do superD and superout."""


def _framed(weight: Tensor) -> Tensor:
    """A convolution of an image as one of a film that looks at one frame."""
    return weight[:, :, None]


TORCHVISION: Names = (
    (r"^((?:layer\d\.\d\.)?conv\d)\.weight$", r"\1.spatial.weight", _framed),
    (r"^(layer\d\.\d\.downsample\.0)\.weight$", r"\1.weight", _framed),
)
"""Names in weight files of a ResNet-18 for images."""


class AFCF3D(Model):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("backbone",)
    begun_here = ("own.", "to_later.", "to_earlier.")
    published = PUBLISHED
    backbone_published = TORCHVISION
    pretrained = "timm/resnet18.tv_in1k"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = ResNet3D(in_channels)
        self.reduce = nn.ModuleList(
            nn.Sequential(conv3d(width, WIDTH, 1), conv3d(WIDTH, WIDTH, 3), conv3d(WIDTH, WIDTH, 3))
            for width in WIDTHS
        )
        # The middle levels share one.
        self.fuse = nn.ModuleList(
            [Fusion(down=False, up=True), Fusion(down=True, up=True), Fusion(down=True, up=False)]
        )
        self.down, self.up = shrink(), conv3d(WIDTH, WIDTH, 3)
        self.steps = nn.ModuleList(Step(last) for last in (3, 3, 3, 4))
        self.head = nn.Sequential(
            conv_bn(WIDTH, 2 * WIDTH, 1, bias=False),
            conv_bn(2 * WIDTH, WIDTH, 1, bias=False),
            nn.Conv2d(WIDTH, 1, 1),
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        levels = [
            reduce(x) for reduce, x in zip(self.reduce, self.backbone(torch.stack([a, b], 2)), strict=True)
        ]
        x = self._decoded(self._fused(levels))
        # The published code enlarges probabilities; this is the logit of those.
        logits = self.head(x).float()
        changed, unchanged = (resized(z.sigmoid(), a, align_corners=True) for z in (logits, -logits))
        tiny = torch.finfo(changed.dtype).tiny
        return changed.clamp_min(tiny).log() - unchanged.clamp_min(tiny).log()

    def _fused(self, levels: list[Tensor]) -> list[Tensor]:
        first, middle, last = self.fuse
        return [
            first(None, levels[0], levels[1]),
            *(middle(*levels[level - 1 : level + 2]) for level in (1, 2, 3)),
            last(levels[3], levels[4], None),
        ]

    def _decoded(self, levels: list[Tensor]) -> Tensor:
        """From the deepest level to the finest, at each size all levels along time; (N, C, H/2, W/2)."""
        shrunk = [[level] for level in levels[:4]]
        for level in range(3):
            for _ in range(3 - level):
                shrunk[level].append(self.down(shrunk[level][-1]))
        x, coarse = levels[4], []
        for step, level in zip(self.steps, (3, 2, 1, 0), strict=True):
            coarse.append(x)
            coarse = [self.up(grown(each, levels[level])) for each in coarse]
            finer = [shrunk[other][level - other] for other in range(level - 1, -1, -1)]
            parts = [*coarse, levels[level], *finer] if level else [levels[level], *coarse]
            x = step(torch.cat(parts, dim=2))
        return x[:, :, 0]


class Between(nn.Module):
    """A convolution of each date, and what it takes from the other one."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        size, steps, around = (1, kernel, kernel), (1, stride, stride), (0, kernel // 2, kernel // 2)
        self.spatial = nn.Conv3d(before, after, size, steps, around, bias=False)
        self.own, self.to_later, self.to_earlier = (nn.Conv3d(after, after, 1, bias=False) for _ in range(3))
        # As it begins a date sees itself alone.
        nn.init.eye_(self.own.weight[:, :, 0, 0, 0])
        nn.init.zeros_(self.to_later.weight)
        nn.init.zeros_(self.to_earlier.weight)

    def forward(self, x: Tensor) -> Tensor:
        earlier, later = self.spatial(x).split(1, dim=2)
        own = self.own(earlier), self.own(later)
        to_later = self.to_later(earlier)
        return torch.cat([own[0] + self.to_earlier(later), to_later + own[1]], dim=2)


class ResNet3D(nn.Module):
    """Five levels (N, WIDTHS[i], 2, H/2.., W/2..) of a film of two frames (N, C, 2, H, W)."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = Between(in_channels, WIDTHS[0], 7, 2), nn.BatchNorm3d(WIDTHS[0])
        for level, (before, after) in enumerate(pairwise(WIDTHS), start=1):
            blocks = Block(before, after, 1 if level == 1 else 2), Block(after, after, 1)
            self.add_module(f"layer{level}", nn.Sequential(*blocks))

    def forward(self, film: Tensor) -> list[Tensor]:
        levels = [F.relu(self.bn1(self.conv1(film)))]
        x = F.max_pool3d(levels[0], (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for level in range(1, 5):
            x = self.get_submodule(f"layer{level}")(x)
            levels.append(x)
        return levels


class Block(nn.Module):
    """A ResNet's basic block, with a ReLU before the sum too, as published."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = Between(before, after, 3, stride), nn.BatchNorm3d(after)
        self.conv2, self.bn2 = Between(after, after, 3, 1), nn.BatchNorm3d(after)
        self.downsample: nn.Module = nn.Identity()
        if before != after:
            self.downsample = nn.Sequential(
                nn.Conv3d(before, after, 1, (1, stride, stride), bias=False), nn.BatchNorm3d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(y + self.downsample(x))


def conv3d(
    before: int, after: int, kernel: int | tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1),
    padding: tuple[int, int, int] | None = None,
) -> nn.Sequential:  # fmt: skip
    around = padding if padding is not None else (int(kernel) // 2 if isinstance(kernel, int) else 0)
    return nn.Sequential(nn.Conv3d(before, after, kernel, stride, around), nn.BatchNorm3d(after), nn.ReLU())


def shrink() -> nn.Sequential:
    """Half the size of each frame."""
    return conv3d(WIDTH, WIDTH, (1, 3, 3), (1, 2, 2), (0, 1, 1))


def grown(x: Tensor, like: Tensor) -> Tensor:
    """The frames of `x` (N, C, T, h, w) at the size of `like`'s."""
    return resized(x.flatten(1, 2), like[:, :, 0], align_corners=True).unflatten(1, x.shape[1:3])


class Fusion(nn.Module):
    """A level with its neighbours (figure 4), the finer one shrunk and the coarser one grown."""

    def __init__(self, *, down: bool, up: bool) -> None:
        super().__init__()
        self.down = shrink() if down else None
        self.up = conv3d(WIDTH, WIDTH, 3) if up else None
        self.merge = nn.Sequential(conv3d(WIDTH, WIDTH, 3), conv3d(WIDTH, WIDTH, 1))
        self.attention = CoordinateAttention(2 * WIDTH, 2 * WIDTH, nn.ReLU)

    def forward(self, finer: Tensor | None, own: Tensor, coarser: Tensor | None) -> Tensor:
        x = own
        if self.down is not None and finer is not None:
            x = self.down(finer) + x
        if self.up is not None and coarser is not None:
            x = x + self.up(grown(coarser, own))
        return attended(self.attention, self.merge(x)) + own


class Step(nn.Module):
    """All levels at one size, ten frames, merged and shortened: to two frames, or to one at the `last`
    step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(conv3d(WIDTH, WIDTH, 3), conv3d(WIDTH, WIDTH, 1))
        self.attention = CoordinateAttention(10 * WIDTH, 10 * WIDTH, nn.ReLU)
        self.shorten = nn.Sequential(
            conv3d(WIDTH, WIDTH, 3),
            conv3d(WIDTH, WIDTH, (4, 3, 3), (2, 1, 1), (0, 1, 1)),
            conv3d(WIDTH, WIDTH, (last, 1, 1)),
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.shorten(frames + attended(self.attention, self.merge(frames)))


def attended(attention: nn.Module, frames: Tensor) -> Tensor:
    """Attention over channels and frames together."""
    return attention(frames.flatten(1, 2)).unflatten(1, frames.shape[1:3])
