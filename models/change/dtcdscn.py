"""DTCDSCN (Liu, Pang, Zhan, Zhang and Yang 2021, doi 10.1109/LGRS.2020.2988032, figure 1), its change
network: an SE-ResNet-34, the difference of the dates' deepest features through dilated convolutions, and a
decoder with attention to which the differences of the finer levels are added.

The paper's two other decoders, which find buildings at either date, are not here: they train on masks of
both dates beside the change. MineNetCD's authors (UCD) do not run them either, but count them.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from models.base import Features, Names, Siamese
from models.layers.convolutions import conv_bn, conv_bn_relu
from models.layers.initial import he_normal
from models.layers.resize import resized
from models.recipes import Recipe

RECIPE = Recipe(
    "the authors' repository (fitzpchao/DTCDSCN), without the two decoders that it trains beside, "
    "and with cross-entropy for its own focal loss",
    {"optimiser": "adam", "learning_rate": 1e-2, "schedule": "step", "step_epochs": 350, "step_factor": 0.1,
     "batch": 16, "loss": "cross-entropy", "epochs": 400},
)  # fmt: skip
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Channels, blocks and stride."""
CONVOLVE = {"conv1": 0, "bn1": 1, "conv2": 3, "bn2": 4}
PUBLISHED: Names = (
    (r"^first(?:conv|bn)\.", lambda found: f"stem.{0 if 'conv' in found[0] else 1}."),
    (r"^encoder(\d)\.(\d)\.(conv1|bn1|conv2|bn2)\.",
     lambda found: f"encoders.{int(found[1]) - 1}.{found[2]}.convolve.{CONVOLVE[found[3]]}."),
    (r"^encoder(\d)\.(\d)\.se\.fc\.", lambda found: f"encoders.{int(found[1]) - 1}.{found[2]}.squeeze."),
    (r"^encoder(\d)\.(\d)\.downsample\.", lambda found: f"encoders.{int(found[1]) - 1}.{found[2]}.shortcut."),
    (r"^dblock_master\.dilate(\d)\.", lambda found: f"centre.{int(found[1]) - 1}."),
    (r"^decoder(\d)_master\.(conv|norm)1\.",
     lambda found: f"decoders.{4 - int(found[1])}.reduce.{0 + (found[2] == 'norm')}."),
    (r"^decoder(\d)_master\.scse\.channel_excitation\.",
     lambda found: f"decoders.{4 - int(found[1])}.channels."),
    (r"^decoder(\d)_master\.scse\.spatial_se\.", lambda found: f"decoders.{4 - int(found[1])}.pixels."),
    (r"^decoder(\d)_master\.deconv2\.", lambda found: f"decoders.{4 - int(found[1])}.grow.0."),
    (r"^decoder(\d)_master\.norm2\.", lambda found: f"decoders.{4 - int(found[1])}.grow.1."),
    (r"^decoder(\d)_master\.(conv|norm)3\.",
     lambda found: f"decoders.{4 - int(found[1])}.out.{0 + (found[2] == 'norm')}."),
    (r"^finaldeconv1_master\.", "head.0."),
    (r"^finalconv2_master\.", "head.2."),
    (r"^finalconv3_master\.", "head.4."),
)  # fmt: skip
"""Names in checkpoints of the published code and of UCD."""


class DTCDSCN(Siamese):
    """Sides of any length from 32 pixels up."""

    smallest = 32
    backbone_parts = ("stem", "encoders")
    explained = ("decoders.3",)
    published = PUBLISHED

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = conv_bn_relu(in_channels, 64, 7, stride=2, bias=False)
        self.encoders, before = nn.ModuleList(), 64
        for width, blocks, stride in STAGES:
            stage = [
                Block(before if block == 0 else width, width, 1 if block else stride)
                for block in range(blocks)
            ]
            self.encoders.append(nn.Sequential(*stage))
            before = width
        self.centre = nn.ModuleList(nn.Conv2d(512, 512, 3, padding=by, dilation=by) for by in (1, 2, 4, 8))
        steps = ((512, 256), (256, 128), (128, 64), (64, 64))
        self.decoders = nn.ModuleList(Decoder(before, after) for before, after in steps)
        self.head = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1),
        )
        he_normal(self, "fan_out")

    def encode(self, image: Tensor) -> Features:
        x, levels = F.max_pool2d(self.stem(image), 3, 2, 1), []
        for stage in self.encoders:
            x = stage(x)
            levels.append(x)
        # The last one only carries the image's size.
        return [*reversed(levels), image[:, :1]]

    def decode(self, a: Features, b: Features) -> Tensor:
        differences = [x - y for x, y in zip(a[:-1], b[:-1], strict=True)]
        x = y = differences[0]
        for convolve in self.centre:
            y = F.relu(convolve(y))
            x = x + y
        for decoder, finer in zip(self.decoders, differences[1:], strict=False):
            grown = decoder(x)
            x = resized(grown, finer) + finer
        return resized(self.head(self.decoders[-1](x)), a[-1])


class Block(nn.Module):
    """A ResNet's basic block with squeeze and excitation (Hu et al. 2018, arXiv 1709.01507, figure 3)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.convolve = conv_bn_relu(before, after, stride=stride, bias=False).extend(
            conv_bn(after, after, bias=False)
        )
        self.squeeze = nn.Sequential(
            nn.Linear(after, after // 16, bias=False),
            nn.ReLU(),
            nn.Linear(after // 16, after, bias=False),
            nn.Sigmoid(),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = conv_bn(before, after, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolve(x)
        y = y * self.squeeze(y.mean(dim=(2, 3)))[..., None, None]
        return F.relu(y + self.shortcut(x))


class Decoder(nn.Module):
    """A quarter of the channels, attention to channels and pixels (Roy et al. 2018, arXiv 1803.02579), and
    twice the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        width = before // 4
        self.reduce = conv_bn_relu(before, width, 1)
        self.channels = nn.Sequential(
            nn.Conv2d(width, width // 16, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(width // 16, width, 1, bias=False),
            nn.Sigmoid(),
        )
        self.pixels = nn.Sequential(nn.Conv2d(width, 1, 1, bias=False), nn.Sigmoid())
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.out = conv_bn_relu(width, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        weight = self.channels(x.mean(dim=(2, 3), keepdim=True)) + self.pixels(x)
        return self.out(self.grow(x + weight * x))
