"""INSINet (Xie et al. 2024, doi 10.1016/j.cageo.2025.105880, figures 3 to 7): four encoders, two with
shared weights for the tile's dates and two for its neighbourhood's, fused on each level.

The dates already meet within the encoder (temporal fusion on each level feeds the next one), so nothing
can be encoded once for several pairs. The branch maps are supervised through the aggregation that
makes the result, as in the authors' code; the paper does not say how else.

Parts can be left out, as in the paper's table III; what stands in their place is ours. `neighbours: off` has
the encoders of the two dates alone. `tf: off` lets the dates meet in their difference alone, without temporal
fusion. `mdsa: off` does not weigh the decoder's features with the branches' maps, of which the result is
still made. `cnf: off` takes the neighbourhood's features whole, not the tile's third of them.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minebench.errors import InputError
from models.base import Model, options_of
from models.layers.mobilenet import CHANNELS, STAGES, first_eleven
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the paper (the repository's rate is 1e-5); without its ImageNet weights, which are torchvision's file",
    {"optimiser": "adam", "learning_rate": 1e-3, "schedule": "constant", "batch": 8, "epochs": 200,
     "loss": "cross-entropy"},
)  # fmt: skip


BOTTLENECK = (("se.se.0", "squeeze.0"), ("se.se.2", "squeeze.2"), ("conv1", "expand.0"), ("bn1", "expand.1"),
              ("conv2", "depthwise.0"), ("bn2", "depthwise.1"), ("conv3", "project.0"), ("bn3", "project.1"),
              ("shortcut.0", "shortcut.0"), ("shortcut.1", "shortcut.1"))  # fmt: skip
WHERE = (
    (r"TF_list\.4\.Time_Fusion\.0", "deepest"),
    (r"TF_list\.(\d)\.Time_Fusion\.Time_Fusion\.0", r"meet.\1.mix"),
    (r"TF_list_Neighbor\.(\d)\.Time_Fusion\.Time_Fusion\.0", r"meet_around.\1.mix"),
    (r"CNF_list\.(\d)\.conv\.conv\.([01])", r"branches.\1.\2"),
    (r"MDSA\.(\d)\.Up_inner\.conv", r"ups.\1"),
    (r"last_layer_prediction\.conv\.0", "main"),
)
PUBLISHED = (
    *(
        (rf"^{theirs}\.{part.replace('.', chr(92) + '.')}\.", f"{ours}.{own}.")
        for theirs, ours in WHERE
        for part, own in BOTTLENECK
    ),
    *(
        (rf"^{theirs}\.{before}\.", f"{ours}.{after}.")
        for theirs, ours in (("backbone", "encoder"), ("backbone_Neighbor", "around"))
        for before, after in ((r"0\.0", "0.0"), (r"0\.1", "0.1"), (r"0\.3", "1"), (r"[123]\.(\d+)", r"\1"))
    ),
    (r"^TF_list\.(\d)\.TF_Enhance_Encoder\.conv\.", r"meet.\1.enrich."),
    (r"^TF_list_Neighbor\.(\d)\.TF_Enhance_Encoder\.conv\.", r"meet_around.\1.enrich."),
    (r"^outs_mixing\.conv\.conv_1x1\.", "head.point."),
    (r"^outs_mixing\.conv\.conv_3x3\.", "head.area."),
    (r"^outs_mixing\.conv\.conv\.", "head.out."),
)
"""Names in checkpoints of the published code."""
SWITCH = {"on": True, "off": False}


class INSINet(Model):
    """Sides of any length from 32 pixels up. The neighbourhoods are the 3x3 tiles around and with the
    tile, reduced to its size; without them the tile is continued by its mirror image."""

    version = 2
    smallest = 32
    context = True
    backbone_parts: tuple[str, ...] = ("encoder", "around")
    published = PUBLISHED

    def __init__(
        self, in_channels: int, neighbours: str | bool = True, tf: str | bool = True, mdsa: str | bool = True,
        cnf: str | bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels = in_channels
        given = {"neighbours": neighbours, "tf": tf, "mdsa": mdsa, "cnf": cnf}
        has = {name: bool(options_of({name: word}, SWITCH, "insinet")) for name, word in given.items()}
        if not has["neighbours"] and not has["cnf"]:
            raise InputError("insinet: cnf off does nothing with neighbours off: remove it.")
        self.has_neighbours, self.weighs, self.crops = has["neighbours"], has["mdsa"], has["cnf"]
        self.encoder = first_eleven(in_channels)
        if self.has_neighbours:
            self.around = first_eleven(in_channels)
        else:
            self.backbone_parts = ("encoder",)
        fusion = TemporalFusion if has["tf"] else NoFusion
        self.meet = nn.ModuleList(fusion(width) for width in CHANNELS)
        if self.has_neighbours:
            self.meet_around = nn.ModuleList(fusion(width) for width in CHANNELS)
        seen = (1 + has["tf"]) * (1 + has["neighbours"])
        self.branches = nn.ModuleList(
            nn.Sequential(Bottleneck(seen * width, width, 3, 3 * width), Bottleneck(width, 1, 1, width))
            for width in CHANNELS
        )
        self.deepest = Bottleneck(2 * CHANNELS[-1], CHANNELS[-1], 3, CHANNELS[-1])
        steps = ((80, 40), (40, 24), (24, 16), (16, 16))
        self.ups = nn.ModuleList(Bottleneck(before, after, 1, 3 * after) for before, after in steps)
        self.main = Bottleneck(16, 1, 1, 48)
        self.head = Aggregation(len(steps) + 1)

    def forward(
        self, a: Tensor, b: Tensor, a_context: Tensor | None = None, b_context: Tensor | None = None
    ) -> Tensor:
        if self.has_neighbours:
            around_a = mirrored(a) if a_context is None else a_context
            around_b = mirrored(b) if b_context is None else b_context
        image, masks = a, []
        for level, stage in enumerate(STAGES):
            a, b = _through(self.encoder[stage], a, b, self.training)
            a, b, *mixed = self.meet[level](a, b)
            seen = [(a - b).abs(), *mixed]
            if self.has_neighbours:
                around_a, around_b = _through(self.around[stage], around_a, around_b, self.training)
                around_a, around_b, *mixed = self.meet_around[level](around_a, around_b)
                around = [(around_a - around_b).abs(), *mixed]
                seen += [core(each) for each in around] if self.crops else around
            masks.append(torch.sigmoid(self.branches[level](torch.cat(seen, dim=1))))
        x = self.deepest(torch.cat([a, b], dim=1))
        larger = [*masks[-2::-1], image]
        for up, mask, like in zip(self.ups, reversed(masks), larger, strict=True):
            x = resized(up(x * mask if self.weighs else x), like, align_corners=True)
        maps = [torch.sigmoid(self.main(x)), *masks]
        return self.head(torch.cat([resized(each, image, align_corners=True) for each in maps], dim=1))


class Bottleneck(nn.Module):
    """The inverted bottleneck as INSINet uses it: always expanded, always with squeeze and excitation,
    and a projected shortcut where the channels change."""

    def __init__(self, before: int, after: int, kernel: int, expanded: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(before, expanded, 1, bias=False), nn.BatchNorm2d(expanded))
        self.depthwise = nn.Sequential(
            nn.Conv2d(expanded, expanded, kernel, padding=kernel // 2, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
        )
        self.squeeze = nn.Sequential(
            nn.Linear(expanded, expanded // 4, bias=False),
            nn.ReLU(),
            nn.Linear(expanded // 4, expanded, bias=False),
            nn.Hardsigmoid(),
        )
        self.project = nn.Sequential(nn.Conv2d(expanded, after, 1, bias=False), nn.BatchNorm2d(after))
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(F.hardswish(self.expand(x)))
        y = F.hardswish(y * self.squeeze(y.mean(dim=(2, 3)))[..., None, None])
        return self.project(y) + self.shortcut(x)


class TemporalFusion(nn.Module):
    """What both dates share, and each date enriched by it (figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = Bottleneck(2 * width, width, 3, width)
        self.enrich = nn.Sequential(nn.Conv2d(2 * width, width, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed = self.mix(torch.cat([a, b], dim=1))
        a, b = (x + self.enrich(torch.cat([x, mixed], dim=1)) for x in (a, b))
        return a, b, mixed


class NoFusion(nn.Module):
    """Both dates as they are, where temporal fusion is left out."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a, b


class Aggregation(nn.Module):
    """One logit from the maps of all levels (figure 7)."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.point, self.area = (
            nn.Sequential(nn.Conv2d(maps, maps, k, padding=k // 2), nn.BatchNorm2d(maps), nn.Hardswish())
            for k in (1, 3)
        )
        self.out = nn.Conv2d(3 * maps, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([x, self.point(x), self.area(x)], dim=1))


def _through(layers: Iterable[nn.Module], a: Tensor, b: Tensor, apart: bool) -> tuple[Tensor, Tensor]:
    """Both dates through the same layers, `apart` where batch norm must see each by itself."""
    if apart:
        stage = nn.Sequential(*layers)
        return stage(a), stage(b)
    x = torch.cat([a, b])
    for layer in layers:
        x = layer(x)
    first, second = x.chunk(2)
    return first, second


def core(x: Tensor) -> Tensor:
    """The tile's own third of its neighbourhood, at the tile's size."""
    height, width = x.shape[-2:]
    wide = F.interpolate(x, scale_factor=3.0, mode="bilinear")
    return wide[..., height : 2 * height, width : 2 * width]


def mirrored(image: Tensor) -> Tensor:
    """The 3x3 neighbourhood of a tile that is continued by its mirror image, reduced to its size."""
    rows = torch.cat([image.flip(-2), image, image.flip(-2)], dim=-2)
    around = torch.cat([rows.flip(-1), rows, rows.flip(-1)], dim=-1)
    return F.avg_pool2d(around, 3)
