"""Sizes and multiply-adds of the registry's networks: the papers', the published codes' and the page's."""

import functools
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import models
from models import registry
from models.base import Model
from models.evaluation.sizes import measure, parameters
from tests.zoo.names import DEEP, OPTIONS, shown


@functools.cache
def outlined(name: str, **options: object) -> Model:
    """A model without numbers (on PyTorch's meta device): its sizes take no time to make or to count. One
    for all tests, that none may change."""
    with torch.device("meta"):
        network = models.create(name, in_channels=3, **options)
    return network.to("meta")  # with what Mask2Former makes elsewhere


def named(rows: list[tuple]) -> list[object]:
    """Parameters of a test, each called by its model's name and options alone: the tests of one network go
    to one worker by that, where it is made once."""
    return [
        pytest.param(*row, id="-".join([row[0], *(f"{k}={v}" for k, v in options_in(row).items())]))
        for row in rows
    ]


def options_in(row: tuple) -> dict:
    return next((value for value in row if isinstance(value, dict)), {})


def thop_gmacs(network: Model, dates: int, side: int, drawn: bool) -> float:
    """Multiply-adds as the papers' tool counted them: transposed convolutions by their output, and with
    `drawn` eleven for each element of a bilinear upsampling, where the published code has a module for
    it and ours a function."""
    import thop

    def transposed(module: nn.ConvTranspose2d, inputs: object, output: torch.Tensor) -> None:
        kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
        module.total_ops += torch.DoubleTensor([output.numel() * kernel])

    images = [torch.zeros(1, 3, side, side, device="meta")] * dates
    ops = {nn.ConvTranspose2d: transposed}
    interpolated = Interpolated()
    with interpolated if drawn else nullcontext():
        found, _ = thop.profile(network.eval(), images, custom_ops=ops, verbose=False)
    return (found + 11 * interpolated.numbers) / 1e9


class Interpolated(TorchFunctionMode):
    """Counts in `numbers` what comes out of interpolations."""

    numbers = 0

    def __torch_function__(
        self, called: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        made = called(*args, **(kwargs or {}))
        if called is F.interpolate:
            self.numbers += made.numel()
        return made


# Name, options, parameters, GMACs at 3 x 256 x 256, tolerance, whether upsampling was counted. Figures are
# those of the published code (UCD's table) or, where it says so, of the paper.
PUBLISHED = [
    ("fc-ef", {}, 1_350_578, 3.58, 0.03, False),
    ("fc-siam-diff", {}, 1_350_146, 4.73, 0.03, False),
    ("fc-siam-conc", {}, 1_545_986, 5.33, 0.03, False),
    ("snunet", {}, 12_034_978, 54.84, 0.03, False),
    ("tinycd", {}, 285_128, 1.54, 0.03, True),
    ("insinet", {}, 830_000, 1.32, 0.03, True),  # the paper
    ("bit", {}, 3_500_000, 10.63, 0.10, False),  # INSINet's paper
    ("changeformer", {}, 41_026_674, 202.79, 0.10, False),
]
# Multiply-adds alone: sizes are below, to the digit. HANet's and DMINet's are those that thop counts in
# their published code (UCD's table has 17.67 and 14.55).
MULTIPLIED = [
    ("tfi-gr", 9.74), ("dminet", 17.61), ("a2net", 3.05), ("resunet", 34.39), ("mspsnet", 15.04),
    ("fcnpp", 46.44), ("hcgmnet", 318.42), ("cgnet", 82.23), ("icifnet", 25.41), ("hanet", 21.42),
    ("dtcdscn", 13.22), ("rdpnet", 27.12), ("afcf3d", 31.72), ("ussfcnet", 4.86),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "size", "gmacs", "tolerance", "drawn"), named(PUBLISHED))
def test_sizes_are_the_published_ones(
    name: str, options: dict, size: int, gmacs: float, tolerance: float, drawn: bool
) -> None:
    network = outlined(name, **options)
    assert parameters(network) == pytest.approx(size, rel=tolerance)
    dates = 4 if name == "insinet" else 2
    assert thop_gmacs(network, dates, 256, drawn) == pytest.approx(gmacs, rel=tolerance)


@pytest.mark.parametrize(("name", "gmacs"), named(MULTIPLIED))
def test_multiply_adds_are_the_published_ones(
    name: str, gmacs: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = outlined(name, **OPTIONS.get(name, {}))
    if name == "dminet":  # whose published code draws the middle maps in evaluation too
        monkeypatch.setattr(network, "forward", network.supervised)
    assert thop_gmacs(network, 2, 256, False) == pytest.approx(gmacs, rel=0.10)


# Of the published code, and what its second output adds to it or what of it never runs.
EXACT = [
    ("fc-ef", {}, 1_350_578, 145),
    ("fc-siam-diff", {}, 1_350_146, 145),
    ("fc-siam-conc", {}, 1_545_986, 145),
    ("snunet", {}, 12_034_978, 129),
    ("bit", {}, 3_495_778, 289),
    ("bit", {"head_width": 8}, 3_037_026, 289),
    ("tinycd", {}, 285_128, 0),
    ("insinet", {}, 831_580, 16),
    ("changeformer", {}, 41_026_674, 2_305 + 4 * 19),  # the last convolution of each of five maps
    ("tfi-gr", {}, 28_370_920, 64 + 513_000 + 2 * 37_056),  # a classifier, two convolutions of the decoder
    ("tfi-gr", {"decoder": "paper"}, 28_370_920, 64 + 513_000),
    ("a2net", {}, 3_780_356, 412_160),  # MobileNetV2's last convolution
    ("resunet", {}, 13_198_226, 0),
    ("mspsnet", {}, 2_209_836, 720 + 417_880),  # four convolutions
    ("hanet", {}, 3_029_444, 720 + 417_880),
    ("fcnpp", {}, 15_268_737, 0),
    ("hcgmnet", {}, 47_322_373, 0),
    ("cgnet", {}, 38_989_317, 5_310_976),  # three convolutions
    ("rdpnet", {}, 1_702_616, 193),
    ("dminet", {}, 6_755_203, 4 * 289 + 513_000),
    ("lsnet", {}, 1_216_848, 129),
    ("ussfcnet", {}, 1_518_977, 0),
    ("afcf3d", {}, 17_643_525, 103_044),  # the side outputs that are not asked for, and more
    ("dtcdscn", {}, 41_071_268, 9_814_995),  # the decoders of the dates, and a second output
    ("icifnet", {}, 25_833_274, 9_815_211),  # PVT's fourth stage, attention's unused layers, second outputs
    ("deeplabv3plus-resnet101", {}, 45_669_713, 0),
    ("deeplabv3plus-mobilenetv2", {}, 4_378_513, 0),
    ("linknet", {}, 11_533_506, 129),
    ("pspnet", {"stem": "deep"}, 49_066_948, 770),
    ("sqnet", {}, 16_233_378, 1_729),
]


@pytest.mark.parametrize(("name", "options", "published", "second"), named(EXACT))
def test_sizes_are_those_of_the_published_code_to_the_digit(
    name: str, options: dict, published: int, second: int
) -> None:
    assert parameters(outlined(name, **options)) == published - second


def test_bits_other_form_is_the_published_codes() -> None:
    # 11,943,754 there, with a ResNet stage and a classifier that never run (8,393,728 and 513,000).
    network = outlined("bit", head_width=8)
    assert parameters(network) == pytest.approx(11_943_754 - 8_393_728 - 513_000, rel=0.01)
    assert thop_gmacs(network, 2, 256, False) == pytest.approx(8.75, rel=0.01)


# Of the papers: parameters in millions, and GMACs where they are given for one square image of a side.
PAPERS = [
    ("segformer-b0", 3.8, 8.4, 512),
    ("segformer-b1", 13.7, 15.9, 512),
    ("segformer-b2", 27.5, 62.4, 512),
    ("segformer-b3", 47.3, 79.0, 512),
    ("segformer-b4", 64.1, 95.7, 512),
    ("segformer-b5", 84.7, 183.3, 640),
    ("upernet-swin-t", 60, None, 0),
    ("upernet-swin-b", 121, None, 0),
    ("upernet-convnext-b", 122, None, 0),
    ("mask2former-swin-t", 47, 74, 512),
    ("mask2former-swin-b", 107, 223, 640),
    ("deeplabv3-mobilevitv2", 13.31, None, 0),  # transformers' own
]


@pytest.mark.parametrize(
    ("name", "millions", "gmacs", "side"),
    [
        pytest.param(
            *row, id=row[0], marks=[pytest.mark.slow] if row[0] in ("segformer-b3", "segformer-b4") else []
        )
        for row in PAPERS
    ],
)
def test_sizes_are_the_papers(name: str, millions: float, gmacs: float | None, side: int) -> None:
    network = outlined(name)
    assert parameters(network) / 1e6 == pytest.approx(millions, rel=0.10)
    if gmacs:
        assert measure(network, "segmentation", side).gmacs == pytest.approx(gmacs, rel=0.10)


@pytest.mark.parametrize("backbone", ["resnet18", "swin-t", "swin-b"])
def test_changefft_adds_about_a_tenth(backbone: str) -> None:
    sizes = {fft: parameters(outlined(f"minenetcd-{backbone}", fft=fft)) for fft in ("off", "code", "paper")}
    assert sizes["off"] < sizes["code"] < sizes["paper"] <= 1.12 * sizes["off"]


@pytest.mark.parametrize("name", shown())
def test_the_page_measures_each_model(name: str) -> None:
    millions, gmacs = shown()[name]
    network = outlined(name)
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.006)
    if not name.startswith("minenetcd"):  # PyTorch's meta device has no Fourier transforms
        assert measure(network, registry.task_of(name), 256).gmacs == pytest.approx(gmacs, abs=0.06)


@pytest.mark.parametrize("name", DEEP)
def test_the_parts_that_a_model_names_are_there(name: str) -> None:
    """What is filled from a file, frozen, trained alone and explained."""
    network = outlined(name)
    for part in (*network.backbone_parts, *network.head_parts, *network.explained):
        assert any(True for _ in network.get_submodule(part).parameters()), part
    assert network.backbone_parts
    head = {id(p) for part in network.head_parts for p in network.get_submodule(part).parameters()}
    body = {id(p) for part in network.backbone_parts for p in network.get_submodule(part).parameters()}
    assert not head & body
