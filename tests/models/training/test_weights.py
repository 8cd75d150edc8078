from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import ResNetConfig, ResNetForImageClassification, SwinConfig, SwinForImageClassification

import models
from models.training import weights
from pipeline.core.errors import InputError, WorkError


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
    state = weights.read(swin / "model.safetensors")
    own = network.backbone.network.state_dict()
    query = next(key for key in own if key.endswith("layers.2.blocks.3.attention.q_proj.weight"))
    assert torch.equal(own[query], state["swin.encoder.layers.2.blocks.3.attention.self.query.weight"])
    key = next(key for key in own if key.endswith("patch_embeddings.projection.weight"))
    first, wide = state["swin.embeddings.patch_embeddings.projection.weight"], own[key]
    assert wide.shape[1] == 10
    for band in range(10):
        assert torch.allclose(wide[:, band], first[:, band % 3] * 0.3)
    # Nine equal bands give what three did.
    nine = weights.widened(first, 9)
    assert torch.allclose(nine.sum(dim=1), first.sum(dim=1), atol=1e-6)
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
    state = weights.read(source / "model.safetensors")
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


def test_our_own_weights_go_into_other_bands(tmp_path: Path) -> None:
    trained = models.create("unet", in_channels=3, width=4)
    torch.save({"weights": trained.state_dict(), "model": "unet"}, tmp_path / "model.pt")
    network = models.create("unet", in_channels=5, width=4)
    weights.load(network, str(tmp_path / "model.pt"))
    assert torch.equal(network.head.weight, trained.head.weight)
    assert torch.allclose(network.encoders[0][0].weight[:, 4], trained.encoders[0][0].weight[:, 1] * 0.6)


def test_wrong_weights_are_a_sentence(swin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = models.create("unet", in_channels=3, width=4)
    with pytest.raises(InputError, match="does not hold weights of UNet"):
        weights.load(unet, str(swin))
    with pytest.raises(InputError, match="UNet has no pretrained weights"):
        weights.load(unet, "pretrained")
    with pytest.raises(InputError, match=r"no file or folder nowhere\.pt"):
        weights.load(unet, "nowhere.pt")
    (tmp_path / "x.pt").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read as weights"):
        weights.load(unet, str(tmp_path / "x.pt"))
    with pytest.raises(InputError, match=r"holds none of model\.safetensors"):
        weights.load(unet, str(tmp_path))
    # A name on the hub, which cannot be reached.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WorkError, match=r"name a local file under `weights` in params\.yaml"):
        weights.load(models.create("segformer-b0", in_channels=3), "pretrained")
