"""ICIFNet (Feng, Xu, Jiang, Liu and Zheng 2022, doi 10.1109/TGRS.2022.3168331, figures 2 to 5): a ResNet-18
and a PVTv2-B1 look at each date, ask each other on three levels, and what both dates made of it is compared
in three maps. The logits are the sum of the maps."""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PvtV2Backbone, PvtV2Config

from models.base import Features, Names, Siamese
from models.layers.attention import split_key_value
from models.layers.backbones import STAGES, resnet18, torchvision_resnet
from models.layers.configured import configured
from models.layers.convolutions import conv_bn, conv_bn_relu
from models.layers.initial import he_normal
from models.layers.interaction import Step, branch_names, map_names, map_of
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (ZhengJianwei2/ICIF-Net)",
    {"optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "linear",
     "batch": 8, "loss": "cross-entropy", "epochs": 200, "augment": ("flip", "scale-crop", "blur"),
     "weights": "pretrained"},
)  # fmt: skip
LEVELS = ((256, 320), (128, 128), (64, 64))
"""Channels of both encoders, deepest first."""
WINDOWS = ((3, 2), (5, 3), (7, 3))
"""Sides of the windows of relative places, and how many of the 8 heads look through them."""
DROPPED = 0.1
WEIGHTS = (1.0, 1.0, 0.5)
PVT = {
    "norm1": "layer_norm_1", "norm2": "layer_norm_2", "attn.q": "attention.query", "attn.kv": "attention.kv",
    "attn.proj": "attention.proj", "attn.sr": "attention.spatial_reduction",
    "attn.norm": "attention.layer_norm", "mlp.fc1": "mlp.dense1", "mlp.dwconv.dwconv": "mlp.dwconv.dwconv",
    "mlp.fc2": "mlp.dense2",
}  # fmt: skip
CROSS = {
    "Sconv.0": "of_pvt.0", "Sconv.1": "of_pvt.1", "Yconv.0": "of_resnet.0", "Yconv.1": "of_resnet.1",
    "qkv": "query_key_value", "factoratt_crpe.proj": "out.0", "residual.bn1": "fuse.0.convolve.0",
    "residual.conv1.conv": "fuse.0.convolve.2", "residual.bn2": "fuse.0.convolve.3",
    "residual.conv2.conv": "fuse.0.convolve.5", "residual.bn3": "fuse.0.convolve.6",
    "residual.conv3.conv": "fuse.0.convolve.8", "residual.skip_layer.conv": "fuse.0.skip",
}  # fmt: skip
UP = {
    "conv.double_conv": "convolve", "conv.identity": "identity", "attn_block.W_g": "gate.of_coarse",
    "attn_block.W_x": "gate.of_fine", "attn_block.psi": "gate.weigh",
}  # fmt: skip


def _date(found: re.Match[str]) -> str:
    return "later" if found["date"] else "earlier"


def _any(names: dict[str, str]) -> str:
    return "|".join(map(re.escape, names))


PUBLISHED: Names = (
    *torchvision_resnet(r"resnet\.", "resnet."),
    (r"^backbone\.patch_embed(\d)\.(proj|norm)\.",
     lambda found: f"pvt.encoder.layers.{int(found[1]) - 1}.patch_embedding."
                   f"{'proj' if found[2] == 'proj' else 'layer_norm'}."),
    (rf"^backbone\.block(\d)\.(\d)\.({_any(PVT)})\.(?=weight|bias)",
     lambda found: f"pvt.encoder.layers.{int(found[1]) - 1}.blocks.{found[2]}.{PVT[found[3]]}."),
    (r"^backbone\.norm(\d)\.", lambda found: f"pvt.encoder.layers.{int(found[1]) - 1}.layer_norm."),
    (rf"^cross(?P<level>\d)(?P<date>_img2)?\.(?P<part>{_any(CROSS)})\.(?=weight|bias|running)",
     lambda found: f"{_date(found)}.cross.{int(found['level']) - 2}.{CROSS[found['part']]}."),
    (r"^cross(?P<level>\d)(?P<date>_img2)?\.factoratt_crpe\.crpe\.conv_list\.(\d)\.",
     lambda found: f"{_date(found)}.cross.{int(found['level']) - 2}.places.{found[3]}."),
    (rf"^up(?P<level>\d)(?P<date>_img2)?\.(?P<part>{_any(UP)})\.",
     lambda found: f"{_date(found)}.ups.{int(found['level']) - 2}.{UP[found['part']]}."),
    *(
        rule
        for date, suffix in (("earlier", ""), ("later", "_img2"))
        for word, number, ours in (("g", "1", "whole"), ("l", "2", "local"))
        for level, fam, place in (("2", "43", "0"), ("3", "32", "1"))
        for rule in branch_names(
            f"Translayer{level}_{word}{suffix}", f"fam{fam}_{number}{suffix}", f"{date}.{ours}.{place}"
        )
    ),
    *map_names("final_2", "maps.0"),
    *map_names("final_1", "maps.1"),
    *map_names("final_x", "maps.2"),
)  # fmt: skip
"""Names in checkpoints of the published code."""


class ICIFNet(Siamese):
    """Sides of any length from 32 pixels up. What stands behind the encoders is each date's own."""

    version = 2
    smallest = 32
    backbone_parts = ("resnet", "pvt")
    head_parts = ("maps",)
    explained = ("earlier.ups.1", "later.ups.1")
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")
    pretrained = ("microsoft/resnet-18", "OpenGVLab/pvt_v2_b1")

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.pvt = PvtV2Backbone(
            configured(
                PvtV2Config,
                num_channels=in_channels,
                num_encoder_blocks=3,
                depths=[2, 2, 2],
                hidden_sizes=[64, 128, 320],
                num_attention_heads=[1, 2, 5],
                mlp_ratios=[8, 8, 4],
                sr_ratios=[8, 4, 2],
                patch_sizes=[7, 3, 3],
                strides=[4, 2, 2],
                # Of eight blocks, whose rates grow evenly to 0.1; the last two are not here.
                drop_path_rate=0.1 * 5 / 7,
                out_features=STAGES[:3],
            )
        )
        for name, part in self.pvt.named_modules():
            # The norms of blocks and stages have 1e-6; those of patches and of attention PyTorch's own.
            if isinstance(part, nn.LayerNorm) and ("patch_embedding" in name or "attention" in name):
                part.eps = 1e-5
        self.resnet = resnet18(in_channels, stages=3)
        self.earlier, self.later = Date(), Date()
        self.maps = nn.ModuleList(map_of(64, 64) for _ in range(3))
        for part in (self.earlier, self.later, self.maps):
            he_normal(part)

    @staticmethod
    def rearranged(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published code has key and value of its PVT in one."""
        return split_key_value(state, "key", "value")

    def encode(self, image: Tensor) -> Features:
        pvt, resnet = self.pvt(image).feature_maps, self.resnet(image).feature_maps
        # The last one only carries the image's size.
        return [*reversed(resnet), *reversed(pvt), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return torch.stack(self._maps(a, b)).sum(dim=0)

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        return list(zip(WEIGHTS, self._maps(a, b), strict=True))

    def _maps(self, a: Features, b: Features) -> list[Tensor]:
        compared = zip(self.maps, self.earlier(a), self.later(b), strict=True)
        return [convolve(resized((x - y).abs(), a[-1])) for convolve, x, y in compared]


class Date(nn.Module):
    """What a date's two encoders make of each other: three features at 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.cross = nn.ModuleList(Crossing(*widths) for widths in LEVELS)
        self.ups = nn.ModuleList([Up(256, 128), Up(128, 64)])
        self.whole, self.local = (nn.ModuleList([Step(LEVELS[0][1], 128), Step(128, 64)]) for _ in range(2))

    def forward(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        crossed = [cross(*pair) for cross, *pair in zip(self.cross, features[:3], features[3:6], strict=True)]
        fused, whole, local = (list(levels) for levels in zip(*crossed, strict=True))
        for branch, levels in ((self.ups, fused), (self.whole, whole), (self.local, local)):
            for place, step in enumerate(branch, start=1):
                levels[place] = step(levels[place], levels[place - 1])
        return whole[-1], local[-1], fused[-1]


class Crossing(nn.Module):
    """The encoders ask each other (figure 3), by factorised attention with convolved relative places (CoaT,
    Xu et al. 2021, arXiv 2104.06399, equations 2 and 7)."""

    def __init__(self, resnet: int, width: int) -> None:
        super().__init__()
        self.of_pvt, self.of_resnet = conv_bn_relu(width, width, 1), conv_bn_relu(resnet, width, 1)
        self.query_key_value = nn.Linear(width, 3 * width)
        head = width // 8
        self.places = nn.ModuleList(
            nn.Conv2d(heads * head, heads * head, side, padding=side // 2, groups=heads * head)
            for side, heads in WINDOWS
        )
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(DROPPED))
        self.fuse = nn.Sequential(Residual(2 * width, resnet), nn.Dropout2d(DROPPED))

    def forward(self, resnet: Tensor, pvt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both together with the ResNet's channels; and what the PVT asked, and the ResNet."""
        pvt = self.of_pvt(pvt + places_of(pvt)).flatten(2).mT
        size = resnet.shape[-2:]
        resnet = self.of_resnet(resnet + places_of(resnet)).flatten(2).mT
        local, whole = (self.query_key_value(x).chunk(3, dim=-1) for x in (resnet, pvt))
        asked = [
            self._read(whole[0], local[1], local[2], size),
            self._read(local[0], whole[1], whole[2], size),
        ]
        return self.fuse(torch.cat(asked, dim=1)), asked[0], asked[1]

    def _read(self, query: Tensor, key: Tensor, value: Tensor, size: torch.Size) -> Tensor:
        image = value.mT.unflatten(2, size)  # (N, C, H, W)
        split = image.split([convolve.in_channels for convolve in self.places], dim=1)
        placed = torch.cat([convolve(x) for convolve, x in zip(self.places, split, strict=True)], dim=1)
        q, k, v = (x.unflatten(-1, (8, -1)).transpose(1, 2) for x in (query, key, value))
        read = q.shape[-1] ** -0.5 * (q @ (k.softmax(dim=2).mT @ v)).transpose(1, 2).flatten(2)
        return self.out(read + query * placed.flatten(2).mT).mT.unflatten(2, size)


def places_of(x: Tensor) -> Tensor:
    """Sines and cosines of rows and columns (C, H, W), as transformers have them for words."""
    half = -(-x.shape[1] // 2)
    rates = 1 / 10_000 ** (torch.arange(0, half, 2, device=x.device) / half)
    angles = [torch.arange(length, device=x.device)[:, None] * rates for length in x.shape[-2:]]
    rows, columns = (torch.cat([angle.sin(), angle.cos()], dim=1).mT for angle in angles)
    height, width = x.shape[-2:]
    both = torch.cat([rows[:, :, None].expand(-1, -1, width), columns[:, None].expand(-1, height, -1)])
    return both[: x.shape[1]].to(x.dtype)


class Residual(nn.Module):
    """Batch norm and ReLU before each of three convolutions, half the channels between."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = after // 2
        # Runs where the channels change, which is everywhere but not at every level.
        self.skip: nn.Module = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        layers: list[nn.Module] = []
        for inner, outer, kernel in ((before, half, 1), (half, half, 3), (half, after, 1)):
            layers += [
                nn.BatchNorm2d(inner), nn.ReLU(), nn.Conv2d(inner, outer, kernel, padding=kernel // 2)
            ]  # fmt: skip
        self.convolve = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.convolve(x)


class Up(nn.Module):
    """Twice the size, beside the finer level where that is worth attention (Oktay et al. 2018, arXiv
    1804.03999, figure 2)."""

    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.gate = Gate(deep, fine)
        self.convolve = conv_bn_relu(deep + fine, fine).extend(conv_bn(fine, fine))
        self.identity = conv_bn(deep + fine, fine, 1)

    def forward(self, finer: Tensor, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        x = F.pad(x, (0, finer.shape[-1] - x.shape[-1], 0, finer.shape[-2] - x.shape[-2]))
        x = torch.cat([self.gate(x, finer), x], dim=1)
        return F.relu(self.convolve(x) + self.identity(x))


class Gate(nn.Module):
    def __init__(self, deep: int, fine: int) -> None:
        super().__init__()
        self.of_coarse, self.of_fine = conv_bn(deep, fine, 1), conv_bn(fine, fine, 1)
        self.weigh = conv_bn(fine, 1, 1).append(nn.Sigmoid())

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return fine * self.weigh(F.relu(self.of_coarse(coarse) + self.of_fine(fine)))
