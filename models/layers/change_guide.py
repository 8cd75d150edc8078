"""What HCGMNet and CGNet, of the same authors, share: VGG-16 levels of both dates joined, and a first map of
change that guides attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.convolutions import conv_bn_relu
from models.layers.resize import resized
from models.layers.vgg import CHANNELS, VGG16, torchvision_vgg


def convolution(before: int, after: int) -> nn.Sequential:
    return conv_bn_relu(before, after, bias=False)


def names(modules: dict[str, str]) -> Names:
    """Names in the published checkpoints, whose blocks hold conv and bn by name; `modules` (patterns) are
    those beside the backbone."""
    return (
        *torchvision_vgg(r"(?:inc|down\d)", "backbone."),
        *((rf"^{theirs}\.conv\.", f"{ours}.0.") for theirs, ours in modules.items()),
        *((rf"^{theirs}\.bn\.", f"{ours}.1.") for theirs, ours in modules.items()),
        (
            r"^conv_reduce_(\d)\.(conv|bn)\.",
            lambda found: f"join.{int(found[1]) - 1}.{int(found[2] == 'bn')}.",
        ),
        (r"^cgm_(\d)\.(query|key|value)_conv\.", lambda found: f"guided.{found[1]}.{found[2]}."),
        (r"^cgm_(\d)\.gamma$", r"guided.\1.gamma"),
    )


class Guided(Siamese):
    """The levels of both dates, joined; the later date comes first, as published."""

    smallest = 32
    backbone_parts = ("backbone",)
    backbone_published = torchvision_vgg("features", "")
    pretrained = "timm/vgg16_bn.tv_in1k"

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = VGG16(in_channels)
        self.join = nn.ModuleList(convolution(2 * width, width) for width in CHANNELS)

    def encode(self, image: Tensor) -> Features:
        # The last one only carries the image's size.
        return [*self.backbone(image), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return resized(self.maps(self.joined(a, b))[0], a[-1], align_corners=True)

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        maps = self.maps(self.joined(a, b))
        return [(1.0, resized(logits, a[-1], align_corners=True)) for logits in maps]

    def joined(self, a: Features, b: Features) -> list[Tensor]:
        levels = zip(self.join, a, b, strict=False)
        return [join(torch.cat([later, earlier], dim=1)) for join, earlier, later in levels]

    def maps(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits at 1/2: the result, and the map that guides."""
        raise NotImplementedError


class Guide(nn.Module):
    """Attention between pixels, those weighed more that a first map takes for change."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv2d(width, width // 8, 1) for _ in range(2))
        self.value = nn.Conv2d(width, width, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, guiding: Tensor) -> Tensor:
        weight = 1 + resized(guiding, x, align_corners=True).sigmoid()
        q, k, v = ((part(x) * weight).flatten(2).mT for part in (self.query, self.key, self.value))
        read = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # not scaled, as published
        return self.gamma * read.mT.view(x.shape) + x
