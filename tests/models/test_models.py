import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import models
from models.base import Classical, Model
from models.evaluation.sizes import measure
from models.training.objective import reduced
from models.training.settings import Settings
from pipeline.core.errors import InputError
from tests.zoo.names import CHANGE, DEEP, OPTIONS, SEGMENTATION, images_for, made


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def outlined(name: str, **options: object) -> Model:
    """A model without numbers (on PyTorch's meta device): its sizes take no time to make or to count."""
    with torch.device("meta"):
        return models.create(name, in_channels=3, **options)


def thop_gmacs(network: Model, dates: int, side: int, drawn: bool) -> float:
    """Multiply-adds as the papers' tool counted them: transposed convolutions by their output, and with
    `drawn` eleven for each element of a bilinear upsampling, where the published code has a module for
    it and ours a function."""
    import thop

    def transposed(module: nn.ConvTranspose2d, inputs: object, output: torch.Tensor) -> None:
        kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
        module.total_ops += torch.DoubleTensor([output.numel() * kernel])

    device = next(network.parameters()).device
    images = [torch.zeros(1, 3, side, side, device=device)] * dates
    ops = {nn.ConvTranspose2d: transposed}
    found, _ = thop.profile(network.eval(), images, custom_ops=ops, verbose=False)
    return (found + (11 * enlarged(network, images) if drawn else 0)) / 1e9


def enlarged(network: Model, images: list[torch.Tensor]) -> int:
    """How many numbers come out of interpolations."""
    counted, original = 0, F.interpolate

    def counting(x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        nonlocal counted
        y = original(x, *args, **kwargs)
        counted += y.numel()
        return y

    F.interpolate = counting
    try:
        with torch.no_grad():
            network(*images)
    finally:
        F.interpolate = original
    return counted


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


@pytest.mark.parametrize(("name", "options", "size", "gmacs", "tolerance", "drawn"), PUBLISHED)
def test_sizes_are_the_published_ones(
    name: str, options: dict, size: int, gmacs: float, tolerance: float, drawn: bool
) -> None:
    network = outlined(name, **options)
    assert parameters(network) == pytest.approx(size, rel=tolerance)
    dates = 4 if name == "insinet" else 2
    assert thop_gmacs(network, dates, 256, drawn) == pytest.approx(gmacs, rel=tolerance)


@pytest.mark.parametrize(("name", "gmacs"), MULTIPLIED)
def test_multiply_adds_are_the_published_ones(name: str, gmacs: float) -> None:
    network = outlined(name, **OPTIONS.get(name, {}))
    if name == "dminet":  # whose published code draws the middle maps in evaluation too
        network.forward = network.supervised
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


@pytest.mark.parametrize(("name", "options", "published", "second"), EXACT)
def test_sizes_are_those_of_the_published_code_to_the_digit(
    name: str, options: dict, published: int, second: int
) -> None:
    assert parameters(outlined(name, **options)) == published - second


def test_dates_pass_batch_norm_one_after_the_other_in_training() -> None:
    """As in the published codes: the brightness of one date does not change how the other is normalised."""
    for name in ("snunet", "tinycd", "bit"):
        torch.manual_seed(0)
        network = models.create(name, in_channels=3).train()
        for module in network.modules():
            if hasattr(module, "dropped"):
                module.dropped = 0.0
        a, b = images_for(name, 2, 64)
        with torch.no_grad():
            (alone, _), (together, _) = network.both(a, b), network.both(a, 3 * b + 1)
            series = network.encode_series(torch.stack([a, b], dim=1))
        for one, other, dated in zip(alone, together, series, strict=True):
            assert torch.equal(one, other)
            assert torch.allclose(one, dated[:, 0], atol=1e-6)


def test_lsnet_passes_both_dates_together_as_published() -> None:
    network = made("lsnet").train()
    a, b = images_for("lsnet", 2, 64)
    with torch.no_grad():
        (alone, _), (together, _) = network.both(a, b), network.both(a, 3 * b + 1)
    assert not torch.allclose(alone[0], together[0], atol=1e-3)


def test_side_maps_meet_the_truths_nearest_pixels_at_their_own_size() -> None:
    """ChangeFormer's, as its published script reduces the truth; unknown pixels stay unknown."""
    torch.manual_seed(0)
    network = made("changeformer").train()
    images = images_for("changeformer", 2, 64)
    sizes = [logits.shape[-1] for _, logits in network.supervised(*images)]
    assert sizes == [64, 2, 4, 8, 16]
    label = torch.full((2, 3, 64, 64), 255, dtype=torch.uint8)
    label[:, :, :32] = 1
    small = reduced(label, torch.zeros(2, 3, 8, 8))
    assert small.shape == (2, 3, 8, 8)
    assert (small[:, :, :4] == 1).all()
    assert (small[:, :, 4:] == 255).all()


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
        pytest.param(*row, marks=[pytest.mark.slow] if row[0] in ("segformer-b3", "segformer-b4") else [])
        for row in PAPERS
    ],
)
def test_sizes_are_the_papers(name: str, millions: float, gmacs: float | None, side: int) -> None:
    network = outlined(name)
    assert parameters(network) / 1e6 == pytest.approx(millions, rel=0.10)
    if gmacs and not name.startswith("mask2former"):
        assert measure(network, "segmentation", side).gmacs == pytest.approx(gmacs, rel=0.10)


@pytest.mark.parametrize(
    "name", ["mask2former-swin-t", pytest.param("mask2former-swin-b", marks=pytest.mark.slow)]
)
def test_mask2formers_multiply_adds_are_the_papers(name: str) -> None:
    """It looks at its numbers while it computes, so that it has to be built."""
    gmacs, side = next(row[2:] for row in PAPERS if row[0] == name)
    network = models.create(name, in_channels=3)
    assert measure(network, "segmentation", side).gmacs == pytest.approx(gmacs, rel=0.10)


def test_changefft_adds_about_a_tenth() -> None:
    for backbone in ("resnet18", "swin-t", "swin-b"):
        sizes = {
            fft: parameters(outlined(f"minenetcd-{backbone}", fft=fft)) for fft in ("off", "code", "paper")
        }
        assert sizes["off"] < sizes["code"] < sizes["paper"] <= 1.12 * sizes["off"]
    with pytest.raises(InputError, match="fft is 'no'; choose one of code, paper, off"):
        models.create("minenetcd-swin-t", in_channels=3, fft="no")


def test_symmetry_of_bit_but_for_the_tokens_places() -> None:
    torch.manual_seed(0)
    network = models.create("bit", in_channels=3).eval()
    with torch.no_grad():
        network.place[:, :4] = network.place[:, 4:]
        a, b = images_for("bit", 1, 64)
        assert torch.allclose(network(a, b), network(b, a), atol=1e-5)


def test_ir_mad_finds_what_changed_beyond_a_linear_shift() -> None:
    torch.manual_seed(0)
    a = torch.randn(2, 4, 48, 48)
    b = 1.7 * a + 0.4 + 0.1 * torch.randn_like(a)
    b[:, :, 10:20, 10:20] = torch.randn(2, 4, 10, 10)
    b[1, :, 30:] = 0  # no data
    network = models.create("ir-mad", in_channels=4)
    assert isinstance(network, Classical)
    found = network.statistic(a, b)[:, 0]
    changed, rest = found[:, 10:20, 10:20], torch.cat([found[:, :10, :], found[:, 20:30, :]], dim=1)
    assert changed.median() > 2 * rest.median()
    assert (found[1, 30:] == 0).all()
    # A linear change of one whole image changes nothing.
    assert torch.allclose(network.statistic(a, 3 * b + torch.where(b.any(1, keepdim=True), 2.0, 0.0)),
                          network.statistic(a, b), atol=2e-2)  # fmt: skip


def test_ir_mad_says_where_it_did_not_settle(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.change import ir_mad

    a, b = torch.randn(3, 4, 32, 32), torch.randn(3, 4, 32, 32)
    network = models.create("ir-mad", in_channels=4)
    network(a, b)
    assert not caplog.records
    monkeypatch.setattr(ir_mad, "ROUNDS", 1)
    network(a, b)
    assert "3 of 3 pairs had not settled after 1 rounds" in caplog.text


@pytest.fixture(scope="module")
def mask2former() -> Model:
    torch.manual_seed(0)
    return models.create("mask2former-swin-t", in_channels=3).eval()


def test_mask2former_takes_the_class_with_the_highest_score(
    mask2former: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its masks agree on a pixel: sums of both classes, not one alone, decide."""
    from types import SimpleNamespace

    queries = torch.tensor([[[0.0, 2.0, -9.0], [3.0, 0.0, -9.0]]])  # footprint, background; never nothing
    masks = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
    found = SimpleNamespace(class_queries_logits=queries, masks_queries_logits=masks)
    monkeypatch.setattr(mask2former.network, "forward", lambda x: found)
    logits = mask2former(torch.zeros(1, 3, 32, 64))[0, 0]
    assert (logits[:, :16] > 0).all()
    assert (logits[:, -16:] < 0).all()


def test_mask2former_learns_nothing_from_unknown_pixels(mask2former: Model) -> None:
    torch.manual_seed(0)
    network = mask2former
    images = torch.randn(1, 3, 64, 64)
    label = torch.zeros(1, 64, 64, dtype=torch.uint8)
    label[:, 8:24, 8:24] = 1
    label[:, 30:] = 255
    seen = {}
    hook = network.network.model.pixel_level_module.decoder.mask_projection.register_forward_hook(
        lambda module, inputs, output: seen.update(features=output) or output.retain_grad()
    )
    network.matched_loss(images, label).backward()
    hook.remove()
    gradient = seen["features"].grad.abs().sum(dim=1)[0]  # (16, 16), a row for four
    # Masks are sampled bilinearly: a row's points reach into the next one.
    assert gradient[:7].sum() > 0
    assert gradient[8:].sum() < 0.02 * gradient[:7].sum()
    assert torch.isfinite(network.matched_loss(images, torch.full_like(label, 255)))


def test_names_and_unknown_models() -> None:
    assert {"fc-ef", "snunet", "bit", "tinycd", "minenetcd-swin-t", "insinet"} <= set(CHANGE)
    assert {"unet", "segformer-b0", "upernet-swin-b", "mask2former-swin-b"} <= set(SEGMENTATION)
    with pytest.raises(InputError, match="no model 'fc-siam-dif'; did you mean fc-siam-diff"):
        models.create("fc-siam-dif", in_channels=3)
    with pytest.raises(InputError, match="does not take these options"):
        models.create("unet", in_channels=3, depth=9)


def test_models_need_no_geospatial_library() -> None:
    """Whatever of the pipeline's core they import. Nor PyTorch's compiler, which takes a second to load."""
    code = (
        "import sys, models.training.train, models.evaluation.evaluate, models.evaluation.ranking;"
        "import models.evaluation.sitewide, models.activity;"
        "heavy = {'rasterio', 'geopandas', 'shapely', 'xarray', 'pystac', 'pydantic', 'typer', 'odc'};"
        "heavy.add('torch._dynamo');"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_model_has_a_recipe_that_is_valid() -> None:
    for name in (*CHANGE, *SEGMENTATION):
        Settings.of({}, name)
        for whose in ("euromine", "minenet", "oms2"):
            Settings.of({"recipe": whose}, name)


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
