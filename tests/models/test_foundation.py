"""Models over any vision backbone: by name, from a folder, frozen, with adapters, with weights of a file."""

import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from transformers import DINOv3ViTConfig

import models
from minebench.errors import InputError, WorkError
from models.training import lora, weights
from models.training.optimiser import choose_parameters

NAMES = ("foundation-change", "foundation-footprint")


SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 4, "intermediate_size": 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small backbone's config.json."""
    DINOv3ViTConfig(patch_size=16, **SMALL).save_pretrained(tmp_path)
    return tmp_path


def images(name: str, side: int = 64, channels: int = 3) -> list[torch.Tensor]:
    return [torch.randn(2, channels, side, side) for _ in range(2 if "change" in name else 1)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 71), (32, 40)])
def test_logits_have_the_images_size(name: str, folder: Path, height: int, width: int) -> None:
    network = models.create(name, in_channels=5, backbone=str(folder), width=16).eval()
    given = [torch.randn(1, 5, height, width) for _ in images(name)]
    with torch.no_grad():
        assert network(*given).shape == (1, 1, height, width)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["swin-t", "resnet18"])
def test_pyramids_are_backbones_too(name: str, backbone: str) -> None:
    network = models.create(name, in_channels=4, backbone=backbone, width=16).eval()
    with torch.no_grad():
        assert network(*images(name, channels=4)).shape == (2, 1, 64, 64)


def test_frozen_adapters_and_whole(folder: Path) -> None:
    counts = {}
    for mode in ("frozen", "lora", "full", "head"):
        network = models.create("foundation-footprint", in_channels=3, backbone=str(folder), width=16)
        choose_parameters(network, mode)
        counts[mode] = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert counts["frozen"] == counts["head"] < counts["lora"] < counts["full"]


@pytest.mark.parametrize("name", NAMES)
def test_adapters_are_added_into_an_ordinary_model(name: str, folder: Path) -> None:
    options = {"backbone": str(folder), "width": 16}
    network = models.create(name, in_channels=3, **options)
    choose_parameters(network, "lora")
    for own, value in network.named_parameters():
        if "lora_B" in own:
            torch.nn.init.normal_(value)
    given = images(name)
    with torch.no_grad():
        expected = network.eval()(*given)
    state = {own: value.clone() for own, value in network.state_dict().items()}
    plain = models.create(name, in_channels=3, **options).eval()
    plain.load_state_dict(lora.merged(network, state))
    with torch.no_grad():
        assert torch.allclose(plain(*given), expected, atol=1e-4)


def test_a_backbone_without_linear_layers_takes_no_adapters() -> None:
    with pytest.raises(InputError, match="no linear layer"):
        choose_parameters(models.create("foundation-footprint", in_channels=3, backbone="resnet18"), "lora")


def test_weights_of_a_folder_fill_the_backbone(folder: Path) -> None:
    options = {"backbone": str(folder), "width": 16}
    torch.manual_seed(1)
    other = models.create("foundation-footprint", in_channels=3, **options)
    torch.save(other.encoder.network.state_dict(), folder / "model.pt")
    torch.manual_seed(2)
    network = models.create("foundation-change", in_channels=3, **options)
    said = weights.load(network, str(folder), ["B04", "B03", "B02"])
    own, theirs = network.encoder.network.state_dict(), other.encoder.network.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)
    assert "are trained from the start, in compare, decoder, encoder" in said


@pytest.mark.parametrize(
    ("backbone", "kind", "said"),
    [
        ("dino", InputError, "choose one of dinov3-vits16"),
        ("nobody/nothing", WorkError, "nobody/nothing gives no configuration"),
    ],
)
def test_unknown_backbones_are_named(
    backbone: str, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # or it tries for 20 s
    with pytest.raises(kind, match=said):
        models.create("foundation-change", in_channels=3, backbone=backbone)


@pytest.mark.parametrize("kind", ["bert", "clip"])
def test_a_folder_of_something_else_is_no_backbone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(InputError, match="no vision backbone"):
        models.create("foundation-change", in_channels=3, backbone=str(tmp_path))


def test_a_card_says_where_weights_began_and_their_licence() -> None:
    said = weights.begun_with("foundation-change", {"backbone": "dinov3-vitl16-sat"}, "pretrained")
    assert said == "facebook/dinov3-vitl16-pretrain-sat493m (DINOv3 License)"
    assert weights.begun_with("unet", {}, None) is None
    assert weights.begun_with("segformer-b0", {}, "own.pt") == "own.pt"
    assert "for the licence see its page" in str(weights.begun_with("upernet-swin-t", {}, "pretrained"))
