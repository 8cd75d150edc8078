"""MineNetCD (Yu et al. 2024, arXiv 2407.03971, figures 5 and 6): a Siamese backbone, the later date's
features minus the earlier one's on four levels, ChangeFFT on each level, and a UPerNet decoder. The paper's
equation 1 has the other sign, the first image minus the second.

`fft` chooses ChangeFFT's form: "code", "paper" (see `models.layers.changefft`) or "off". Backbone and
heads are those of `transformers`, as in the published code, so that its checkpoints load
(`models.training.weights`). As published, an auxiliary head on the third level helps in training,
weighed 0.4.
"""

from typing import Any

from torch import Tensor, nn
from transformers import UperNetConfig
from transformers.models.upernet.modeling_upernet import UperNetFCNHead, UperNetHead

from models.base import Features, Siamese, options_of
from models.layers.backbones import HUB, Backbone
from models.layers.changefft import CodeMixing, PaperMixing
from models.layers.configured import configured
from models.layers.resize import resized
from models.layers.vmamba import FILES as VMAMBA
from models.layers.vmamba import VMamba
from models.recipes import Recipe

RECIPE = Recipe(
    "the README of the authors' repository (EricYu97/MineNetCD); the backbone begins with ImageNet's "
    "weights, not ADE20K's. Its train.py takes batches of 16 whatever is asked, and steps its cosine of 100 "
    "with each batch, so that the rate swings; here it falls once over all epochs",
    {"optimiser": "adam", "learning_rate": 5e-5, "lowest_rate": 1e-7, "batch": 32, "loss": "bce",
     "epochs": 100, "seed": 8888, "augment": (), "weights": "pretrained"},
)  # fmt: skip
FORMS: dict[str, Any] = {"code": CodeMixing, "paper": PaperMixing, "off": lambda channels: nn.Identity()}
AUXILIARY = 0.4


PUBLISHED = (
    (r"^channel_mixing\.(\d+)\.complex_weight_1$", r"mixing.\1.first.weight"),
    (r"^channel_mixing\.(\d+)\.complex_weight_2$", r"mixing.\1.second.weight"),
    (r"^channel_mixing\.(\d+)\.complex_bias_1$", r"mixing.\1.first.bias"),
    (r"^channel_mixing\.(\d+)\.complex_bias_2$", r"mixing.\1.second.bias"),
    (r"^norm\.(\d+)\.", r"mixing.\1.norm."),
)
"""Names beside backbone and heads in the published checkpoints."""


class MineNetCD(Siamese):
    """Sides of any length from 32 pixels up. Not symmetric: the difference has a sign."""

    smallest = 32
    begun_here = ("outnorm",)
    published = PUBLISHED
    head_parts = ("decode_head", "auxiliary_head")
    explained = ("decode_head.lateral_convs.0", "decode_head.lateral_convs.1", "decode_head.lateral_convs.2")

    def __init__(self, in_channels: int, backbone: str = "swin-t", fft: str = "code") -> None:
        super().__init__()
        self.in_channels = in_channels
        scans = backbone.startswith("vmamba")
        self.backbone: nn.Module = VMamba(backbone, in_channels) if scans else Backbone(backbone, in_channels)
        self.backbone_parts = ("backbone",) if scans else ("backbone.network",)
        self.pretrained = VMAMBA[backbone] if scans else HUB[backbone]
        channels = [int(width) for width in self.backbone.channels]
        form = options_of({"fft": fft}, FORMS, "minenetcd")
        more = {"plainly": False} if scans and fft == "code" else {}
        self.mixing = nn.ModuleList(form(width, **more) for width in channels)
        if form is not FORMS["off"]:
            self.explained_before, self.between = ("mixing.0", "mixing.1", "mixing.2"), "ChangeFFT"
        config = configured(UperNetConfig, num_labels=1, auxiliary_in_channels=channels[2])
        self.decode_head = UperNetHead(config, channels)
        self.auxiliary_head = UperNetFCNHead(config, channels)

    def encode(self, image: Tensor) -> Features:
        # The last one only carries the image's size.
        return [*self.backbone(image), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        return resized(self.decode_head(self._mixed(a, b)), a[-1])

    def supervised_pairs(self, a: Features, b: Features) -> list[tuple[float, Tensor]]:
        levels = self._mixed(a, b)
        return [
            (1.0, resized(self.decode_head(levels), a[-1])),
            (AUXILIARY, resized(self.auxiliary_head(levels), a[-1])),
        ]

    def _mixed(self, a: Features, b: Features) -> list[Tensor]:
        levels = zip(self.mixing, a[:-1], b[:-1], strict=True)
        return [mix(later - earlier) for mix, earlier, later in levels]
