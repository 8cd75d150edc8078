"""BIT, the bitemporal image transformer (Chen, Qi and Shi 2021, doi 10.1109/TGRS.2021.3095166, figures
2 and 3): a ResNet-18, a few tokens a date, a transformer among the tokens of both dates, and each
pixel of either date read back from its date's tokens.

This is the paper's form, 3.5 million parameters: the ResNet's three first stages, heads of 64 channels.
The published code's other form has heads of 8 in the decoder (`head_width=8`, 3.04 million); it counts
11.94 million because it also builds the ResNet's last stage and classifier, which it never runs.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.backbones import keep_resolution, resnet18, torchvision_resnet
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (justchenhao/BIT_CD)",
    {"optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "linear",
     "batch": 8, "loss": "cross-entropy", "epochs": 200, "augment": ("flip", "scale-crop", "blur"),
     "weights": "pretrained"},
)  # fmt: skip
WIDTH, TOKENS, HEADS = 32, 4, 8


def _inside(found: re.Match[str]) -> str:
    """A layer of the published transformers: the encoder has one, the decoder several."""
    whose = f"decoder.{found['layer']}" if found["whose"] else "encoder"
    return f"{whose}.{PARTS.get(found['part'], found['part'].rpartition('.')[2])}."


PARTS = {
    "0.fn.norm": "norm", "0.fn.fn.to_q": "query", "0.fn.fn.to_out.0": "out", "1.fn.norm": "perceptron.0",
    "1.fn.fn.net.0": "perceptron.1", "1.fn.fn.net.3": "perceptron.3",
}  # fmt: skip
PUBLISHED: Names = (
    *torchvision_resnet(r"resnet\.", "backbone."),
    (r"^transformer(?P<whose>_decoder)?\.layers\.(?P<layer>\d)\.(?P<part>.+)\.(?=weight|bias)", _inside),
    (r"^pos_embedding$", "place"),
    (r"^conv_pred\.", "squeeze."),
    (r"^conv_a\.", "attend."),
    (r"^classifier\.", "head."),
)
"""Names in checkpoints of the published code."""


class BIT(Siamese):
    """Sides of any length from 16 pixels up. Nearly symmetric: only the tokens' places tell the dates
    apart."""

    backbone_parts = ("backbone",)
    published = PUBLISHED
    backbone_published = torchvision_resnet("", "")
    pretrained = "microsoft/resnet-18"

    def __init__(self, in_channels: int, head_width: int = 64, decoder_depth: int = 8) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.backbone = resnet18(in_channels, stages=3)
        keep_resolution(self.backbone.encoder.stages[2])
        self.squeeze = nn.Conv2d(256, WIDTH, 3, padding=1)
        self.attend = nn.Conv2d(WIDTH, TOKENS, 1, bias=False)
        self.place = nn.Parameter(torch.randn(1, 2 * TOKENS, WIDTH))
        self.encoder = Layer(head_width=64)
        self.decoder = nn.ModuleList(Layer(head_width) for _ in range(decoder_depth))
        self.head = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 1, 3, padding=1),
        )

    @staticmethod
    def rearranged(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The published code has query, key and value in one for tokens, and apart for pixels."""
        found = dict(state)
        if (together := found.pop("encoder.to_qkv.weight", None)) is not None:
            query, key, value = together.chunk(3)
            found |= {"encoder.query.weight": query, "encoder.key_value.weight": torch.cat([key, value])}
        for name in [name for name in found if name.endswith(".to_k.weight")]:
            key, value = found.pop(name), found.pop(name.replace("to_k", "to_v"))
            found[name.replace("to_k", "key_value")] = torch.cat([key, value])
        return found

    def encode(self, image: Tensor) -> Features:
        x = self.backbone(image).feature_maps[-1]  # (N, 256, H/8, W/8)
        x = self.squeeze(F.interpolate(x, scale_factor=2.0))  # (N, 32, H/4, W/4)
        share = self.attend(x).flatten(2).softmax(dim=-1)  # (N, 4, pixels)
        # The last one only carries the image's size.
        return [x, share @ x.flatten(2).mT, image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        tokens = self.encoder(torch.cat([a[1], b[1]], dim=1) + self.place)
        first, second = (self._read(x[0], own) for x, own in zip((a, b), tokens.chunk(2, dim=1), strict=True))
        return self.head(resized((first - second).abs(), a[2]))

    def _read(self, x: Tensor, tokens: Tensor) -> Tensor:
        pixels = x.flatten(2).mT
        for layer in self.decoder:
            pixels = layer(pixels, tokens)
        return pixels.mT.reshape(x.shape)


class Layer(nn.Module):
    """Attention and a small perceptron, each behind a norm and added to what came in: among the tokens
    themselves, or of pixels to tokens."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        inner = HEADS * head_width
        self.norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, inner, bias=False)
        self.key_value = nn.Linear(WIDTH, 2 * inner, bias=False)
        self.out = nn.Linear(inner, WIDTH)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        query = self.norm(x)
        source = query if tokens is None else self.norm(tokens)
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query(query), *self.key_value(source).chunk(2, dim=-1))
        )
        # The paper scales by the width of the tokens, not of a head.
        read = F.scaled_dot_product_attention(q, k, v, scale=WIDTH**-0.5)
        x = x + self.out(read.transpose(1, 2).flatten(2))
        return x + self.perceptron(x)
