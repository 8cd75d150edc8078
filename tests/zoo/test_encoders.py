"""Files of encoders, and of whole networks, fill the registry's networks."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    PvtV2Config,
    PvtV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
)

import models
from minebench.errors import InputError
from models.training import weights
from tests.zoo import published


@pytest.fixture(scope="module")
def swin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's folder as the hub has it: three bands, prefix, a head that nobody wants."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("swin")
    SwinForImageClassification(SwinConfig(num_labels=5)).save_pretrained(folder)
    return folder


def test_a_classifiers_weights_fill_the_backbone_and_bands_are_widened(swin: Path) -> None:
    network = models.create("minenetcd-swin-t", in_channels=10)
    before = network.decode_head.classifier.weight.clone()
    told = weights.load(network, str(swin))
    state = weights.read(swin / "model.safetensors").state
    own = network.backbone.network.state_dict()
    query = next(key for key in own if key.endswith("layers.2.blocks.3.attention.q_proj.weight"))
    assert torch.equal(own[query], state["swin.encoder.layers.2.blocks.3.attention.self.query.weight"])
    key = next(key for key in own if key.endswith("patch_embeddings.projection.weight"))
    first, wide = state["swin.embeddings.patch_embeddings.projection.weight"], own[key]
    assert wide.shape[1] == 10
    for band in range(10):
        assert torch.allclose(wide[:, band], first[:, band % 3] / (4 if band % 3 == 0 else 3))
    # Equal bands give what three did.
    assert torch.allclose(wide.sum(dim=1), first.sum(dim=1), atol=1e-5)
    assert torch.equal(network.decode_head.classifier.weight, before)
    assert str(swin) in told


@pytest.mark.parametrize("name", ["bit", "upernet-swin-t", "minenetcd-resnet18"])
def test_a_file_fills_every_model_with_that_backbone(name: str, swin: Path, tmp_path: Path) -> None:
    source = swin
    if "swin" not in name:
        config = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
        ResNetForImageClassification(config).save_pretrained(tmp_path)
        source = tmp_path
    network = models.create(name, in_channels=3)
    weights.load(network, str(source / "model.safetensors"))
    state = weights.read(source / "model.safetensors").state
    held = list(network.state_dict().values())
    shared = [
        v for key, v in state.items() if ("stages.1." in key or "layers.1." in key) and "stages.3" not in key
    ]
    shared = [v for v in shared if v.numel() > 1000 and v.is_floating_point()]
    assert shared
    assert all(any(own.shape == value.shape and torch.equal(own, value) for own in held) for value in shared)


def as_published(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The network's weights under the names, and with the two classes, of the published MineNetCD code."""
    state = {}
    for name, value in network.state_dict().items():
        name = name.replace("backbone.network.", "backbone.")
        for layer, number in (("first", 1), ("second", 2)):
            for part in ("weight", "bias"):
                name = name.replace(f"{layer}.{part}", f"complex_{part}_{number}")
        if name.startswith("mixing."):
            level, rest = name.split(".", 2)[1:]
            name = (
                f"norm.{level}.{rest[5:]}" if rest.startswith("norm.") else f"channel_mixing.{level}.{rest}"
            )
        if "classifier" in name:
            other = torch.randn_like(value)
            value = torch.cat([other, value + other])
        state[name] = value.contiguous()
    return state


def test_a_published_minenetcd_checkpoint_gives_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, ours = (models.create("minenetcd-resnet18", in_channels=3).eval() for _ in range(2))
    state = as_published(theirs)
    assert {"channel_mixing.0.complex_weight_1", "norm.3.bias", "decode_head.bottleneck.conv.weight"} <= set(
        state
    )
    assert state["decode_head.classifier.weight"].shape[0] == 2
    save_file(state, tmp_path / "model.safetensors")
    weights.load(ours, str(tmp_path))
    images = torch.randn(2, 1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(theirs(*images), ours(*images), atol=1e-5)


LAYOUTS = published.layouts()


@pytest.mark.parametrize(
    ("encoder", "name", "rest"),
    [
        ("timm/efficientnet_b4", "tinycd", "deepest, head, image_mask, masks, ups"),
        ("timm/mobilenetv2_100", "a2net", "decoder, differences, head, merging"),
        ("timm/mobilenetv2_100", "deeplabv3plus-mobilenetv2", "fine, head, merge, pyramid, refined"),
        ("timm/vgg16_bn", "cgnet", "first, guided, head, join"),
        ("timm/resnet18", "bit", "attend, decoder, encoder, head, place, squeeze"),
        ("timm/resnet18", "tfi-gr", "extraction, head, interaction, refinement, sums"),
        ("timm/resnet18", "linknet", "decoders, head, last"),
        ("timm/resnet18", "afcf3d", "backbone, down, fuse, head, reduce, steps, up"),
    ],
)
def test_an_encoders_file_fills_the_backbone(encoder: str, name: str, rest: str, tmp_path: Path) -> None:
    network = models.create(name, in_channels=3)
    shapes = LAYOUTS[encoder]["tensors"]
    # VGG's classifier, which no model takes, would be 120 of its 138 million numbers.
    state = published.checkpoint({key: shape[:1] if key.startswith("pre_logits") else shape
                                  for key, shape in shapes.items()})  # fmt: skip
    save_file(state, tmp_path / "model.safetensors")
    told = weights.load(network, str(tmp_path), ["red", "green", "blue"])
    assert f"are trained from the start, in {rest}" in told
    first = next(value for key, value in state.items() if value.ndim == 4)
    held = {
        value.sum().item() for value in network.state_dict().values() if value.ndim > 1 and len(value) > 8
    }
    assert first.sum().item() in held
    own = [value for key, value in network.state_dict().items() if key.startswith("backbone")]
    given = {tuple(value.shape): value for value in state.values() if value.ndim > 1}
    same = [v for v in own if tuple(v.shape) in given and v.ndim > 1]
    assert encoder == "timm/resnet18" or any(torch.equal(v, given[tuple(v.shape)]) for v in same)


def test_two_encoders_come_from_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resnet = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
    ResNetForImageClassification(resnet).save_pretrained(tmp_path / "resnet")
    pvt = PvtV2Config(hidden_sizes=[64, 128, 320, 512], num_attention_heads=[1, 2, 5, 8],
                      mlp_ratios=[8, 8, 4, 4], depths=[2, 2, 2, 2])  # fmt: skip
    PvtV2ForImageClassification(pvt).save_pretrained(tmp_path / "pvt")
    network = models.create("icifnet", in_channels=3)
    places = {"microsoft/resnet-18": "resnet", "OpenGVLab/pvt_v2_b1": "pvt"}
    monkeypatch.setattr(weights, "_from_hub", lambda name: tmp_path / places[name] / "model.safetensors")
    told = weights.load(network, "pretrained")
    assert told == (
        "225 of 765 tensors from microsoft/resnet-18 and OpenGVLab/pvt_v2_b1; 540 are trained from the "
        "start, in earlier, later, maps"
    )


def test_a_small_backbone_is_not_filled_by_chance(tmp_path: Path) -> None:
    """A layer's two tensors fit the ends of many names: a whole model's file is taken by its names alone."""
    known = LAYOUTS["mspsnet"]
    state = published.checkpoint(known["tensors"])
    torch.save(state, tmp_path / "x.pth")
    network = models.create("mspsnet", in_channels=3)
    weights.load(network, str(tmp_path / "x.pth"), ["red", "green", "blue"])
    assert torch.equal(network.first.bias, state["conv0_0.bias"])


def test_a_backbone_filled_in_part_is_an_error(tmp_path: Path) -> None:
    network = models.create("tinycd", in_channels=3)
    state = {
        f"features.{name}": value for name, value in network.backbone.state_dict().items() if name[0] != "0"
    }
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(
        InputError, match=r"fills 180 of 185 tensors of tinycd's backbone, and not backbone\.0\.0\.weight"
    ):
        weights.load(network, str(tmp_path / "x.pth"))
