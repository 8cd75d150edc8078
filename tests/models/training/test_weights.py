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


def test_our_own_weights_go_into_other_bands(tmp_path: Path) -> None:
    trained = models.create("unet", in_channels=3, width=4)
    torch.save({"weights": trained.state_dict(), "model": "unet"}, tmp_path / "model.pt")
    network = models.create("unet", in_channels=5, width=4)
    weights.load(network, str(tmp_path / "model.pt"))
    assert torch.equal(network.head.weight, trained.head.weight)
    assert torch.allclose(network.encoders[0][0].weight[:, 4], trained.encoders[0][0].weight[:, 1] / 2)


def test_wrong_weights_are_a_sentence(swin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = models.create("unet", in_channels=3, width=4)
    with pytest.raises(InputError, match="does not hold weights of unet"):
        weights.load(unet, str(swin))
    with pytest.raises(InputError, match="unet has no pretrained weights"):
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


def batch_norm_of_its_own(network: torch.nn.Module) -> None:
    """Statistics other than those that a new network has, so that a lost one is seen."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)


@pytest.mark.parametrize(
    "name", ["fc-ef", "fc-siam-diff", "fc-siam-conc", "snunet", "bit", "tinycd", "insinet"]
)
def test_a_checkpoint_in_the_published_layout_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs, ours = (models.create(name, in_channels=3) for _ in range(2))
    batch_norm_of_its_own(theirs)
    path = tmp_path / "published.pth"
    torch.save({"model_state_dict": LAYOUTS[name](theirs.state_dict())}, path)
    told = weights.load(ours, str(path), ["red", "green", "blue"])
    count = len([key for key in ours.state_dict() if not key.endswith("num_batches_tracked")])
    assert told == f"{count} of {count} tensors from {path}"
    images = torch.randn(4 if name == "insinet" else 2, 1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(theirs.eval()(*images), ours.eval()(*images), atol=1e-6)


def listed(number: str) -> str:
    """A place in a sequence of convolutions and activations as one in a list of both."""
    return f"{int(number) // 2}.{int(number) % 2}"


def tinycds(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As its repository names them."""
    pairs = [
        (r"^backbone\.", "_backbone."),
        (r"^deepest\.mix\.", "_mixing_mask.2._convmix."),
        (r"^image_mask\.mixing\.mix\.", "_first_mix._mixing._convmix."),
        (r"^masks\.(\d)\.mixing\.mix\.", r"_mixing_mask.\1._mixing._convmix."),
        (r"^ups\.(\d)\.refine\.", r"_up.\1._convolution."),
        (r"^image_mask\.mask\.1\.", "_first_mix._linear._linears.2.1."),
        (r"^masks\.(\d)\.mask\.1\.", r"_mixing_mask.\1._linear._linears.2.1."),
        (r"^image_mask\.mask\.0\.(\d)", lambda m: "_first_mix._linear._linears." + listed(m[1])),
        (r"^masks\.(\d)\.mask\.0\.(\d)", lambda m: f"_mixing_mask.{m[1]}._linear._linears." + listed(m[2])),
        (r"^head\.(\d)", lambda m: "_classify._linears." + listed(m[1])),
    ]
    return weights.renamed(state, pairs)


def insinets(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As its repository names them, with two classes."""
    parts = {
        "squeeze.0": "se.se.0",
        "squeeze.2": "se.se.2",
        "expand.0": "conv1",
        "expand.1": "bn1",
        "depthwise.0": "conv2",
        "depthwise.1": "bn2",
        "project.0": "conv3",
        "project.1": "bn3",
    }
    where = [
        (r"^deepest", "TF_list.4.Time_Fusion.0"),
        (r"^meet\.(\d)\.mix", r"TF_list.\1.Time_Fusion.Time_Fusion.0"),
        (r"^meet_around\.(\d)\.mix", r"TF_list_Neighbor.\1.Time_Fusion.Time_Fusion.0"),
        (r"^meet\.(\d)\.enrich", r"TF_list.\1.TF_Enhance_Encoder.conv"),
        (r"^meet_around\.(\d)\.enrich", r"TF_list_Neighbor.\1.TF_Enhance_Encoder.conv"),
        (r"^branches\.(\d)\.", r"CNF_list.\1.conv.conv."),
        (r"^ups\.(\d)", r"MDSA.\1.Up_inner.conv"),
        (r"^main", "last_layer_prediction.conv.0"),
        (r"^head\.point", "outs_mixing.conv.conv_1x1"),
        (r"^head\.area", "outs_mixing.conv.conv_3x3"),
        (r"^head\.out", "outs_mixing.conv.conv"),
    ]
    for ours, theirs in (("encoder", "backbone"), ("around", "backbone_Neighbor")):
        where += [
            (rf"^{ours}\.0\.", f"{theirs}.0.0."),
            (rf"^{ours}\.1\.", f"{theirs}.0.3."),
            (rf"^{ours}\.([23])\.", rf"{theirs}.1.\1."),
            (rf"^{ours}\.([456])\.", rf"{theirs}.2.\1."),
            (rf"^{ours}\.(\d+)\.", rf"{theirs}.3.\1."),
        ]
    found = {}
    for name, value in weights.renamed(state, where).items():
        name = name.replace("backbone.0.0.1.", "backbone.0.1.").replace(
            "backbone_Neighbor.0.0.1.", "backbone_Neighbor.0.1."
        )
        name = name.replace("backbone.0.0.0.", "backbone.0.0.").replace(
            "backbone_Neighbor.0.0.0.", "backbone_Neighbor.0.0."
        )
        if not name.startswith("backbone"):
            for ours, theirs in parts.items():
                name = name.replace(f".{ours}.", f".{theirs}.")
        if name.startswith("outs_mixing.conv.conv."):
            other = torch.randn_like(value)
            value = torch.cat([other, value + other])
        found[name] = value
    return found


def with_two_classes(state: dict[str, torch.Tensor], head: str) -> dict[str, torch.Tensor]:
    """The head's single output as the difference of two."""
    found = dict(state)
    for name in [name for name in state if name.startswith(head)]:
        other = torch.randn_like(state[name])
        found[name] = torch.cat([other, state[name] + other])
    return found


def fcs(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As rcdaudt's repository names them: decoders of transposed convolutions."""
    depths, found = (2, 2, 3, 3), {}
    for name, value in with_two_classes(state, "head.").items():
        *where, last = name.split(".")
        if where[0] == "head":
            name = f"conv11d.{last}"
        elif where[1] == "ups":
            name = f"upconv{4 - int(where[2])}.{last}"
        else:
            place = int(where[3])
            kind, number = ("bn" if place % 4 else "conv"), place // 4
            if where[0] == "encoder":
                name = f"{kind}{int(where[2]) + 1}{number + 1}.{last}"
            else:
                level = 4 - int(where[2])
                name = f"{kind}{level}{depths[level - 1] - number}d.{last}"
        is_decoders = "d." in name and value.ndim == 4
        found[name] = value.transpose(0, 1).flip(2, 3).contiguous() if is_decoders else value
    return found


def snunets(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As likyoo's repository names them."""
    parts = (("first", "conv1"), (r"rest\.0", "bn1"), (r"rest\.2", "conv2"), (r"rest\.3", "bn2"))
    names = [
        (rf"^{ours}\.{part}\.", f"{theirs}.{own}.")
        for ours, theirs in (
            (r"encoders\.(\d)", r"conv\1_0"),
            ("bottom", "conv4_0"),
            (r"nodes\.(\d)(\d)", r"conv\1_\2"),
        )
        for part, own in parts
    ]
    names += [
        (r"^ups\.(\d)(\d)\.", lambda m: f"Up{int(m[1]) + 1}_{int(m[2]) - 1}.up."),
        (r"^within\.squeeze\.(\d)", lambda m: f"ca1.fc{int(m[1]) // 2 + 1}"),
        (r"^across\.squeeze\.(\d)", lambda m: f"ca.fc{int(m[1]) // 2 + 1}"),
        (r"^head\.", "conv_final."),
    ]
    return weights.renamed(with_two_classes(state, "head."), names)


def bits(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As justchenhao's repository names them, with the stage of the ResNet that it never runs."""
    within = (("norm", "0.fn.norm"), ("query", "0.fn.fn.to_q"), ("out", "0.fn.fn.to_out.0"),
              (r"perceptron\.0", "1.fn.norm"), (r"perceptron\.1", "1.fn.fn.net.0"),
              (r"perceptron\.3", "1.fn.fn.net.3"))  # fmt: skip
    names = [
        (r"^backbone\.embedder\.embedder\.convolution", "resnet.conv1"),
        (r"^backbone\.embedder\.embedder\.normalization", "resnet.bn1"),
        (r"^backbone\.encoder\.stages\.(\d)\.layers\.(\d)\.layer\.(\d)\.(conv|norm)[a-z]+",
         lambda m: f"resnet.layer{int(m[1]) + 1}.{m[2]}.{'conv' if m[4] == 'conv' else 'bn'}{int(m[3]) + 1}"),
        (r"^backbone\.encoder\.stages\.(\d)\.layers\.(\d)\.shortcut\.(conv|norm)[a-z]+",
         lambda m: f"resnet.layer{int(m[1]) + 1}.{m[2]}.downsample.{int(m[3] == 'norm')}"),
        (r"^place$", "pos_embedding"), (r"^squeeze\.", "conv_pred."), (r"^attend\.", "conv_a."),
        (r"^head\.", "classifier."),
        *((rf"^encoder\.{ours}\.", f"transformer.layers.0.{theirs}.") for ours, theirs in within),
        *((rf"^decoder\.(\d)\.{own}\.", rf"transformer_decoder.layers.\1.{name}.") for own, name in within),
    ]  # fmt: skip
    found = weights.renamed(with_two_classes(state, "head.3."), names)
    for name in [name for name in found if name.endswith("key_value.weight")]:
        value = found.pop(name)
        if name.startswith("encoder."):
            query = found.pop("transformer.layers.0.0.fn.fn.to_q.weight")
            found["transformer.layers.0.0.fn.fn.to_qkv.weight"] = torch.cat([query, value])
        else:
            place = f"transformer_decoder.layers.{name.split('.')[1]}.0.fn.fn"
            found[f"{place}.to_k.weight"], found[f"{place}.to_v.weight"] = value.chunk(2)
    return {**found, "resnet.layer4.0.conv1.weight": torch.zeros(512, 256, 3, 3)}


LAYOUTS = {"fc-ef": fcs, "fc-siam-diff": fcs, "fc-siam-conc": fcs, "snunet": snunets, "bit": bits,
           "tinycd": tinycds, "insinet": insinets}  # fmt: skip


def test_torchvisions_resnet_fills_bits_backbone(tmp_path: Path) -> None:
    theirs, ours = (models.create("bit", in_channels=3) for _ in range(2))
    batch_norm_of_its_own(theirs)
    state = {
        k.removeprefix("resnet."): v for k, v in bits(theirs.state_dict()).items() if k.startswith("resnet.")
    }
    torch.save(state, tmp_path / "resnet18.pth")
    assert "are trained from the start, in attend, decoder, encoder, head, place, squeeze" in weights.load(
        ours, str(tmp_path / "resnet18.pth")
    )
    for one, other in zip(
        theirs.backbone.state_dict().values(), ours.backbone.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_timms_efficientnet_fills_tinycds_backbone(tmp_path: Path) -> None:
    theirs, ours = (models.create("tinycd", in_channels=3) for _ in range(2))
    batch_norm_of_its_own(theirs)
    names = [
        (r"^0\.0\.", "conv_stem."),
        (r"^0\.1\.", "bn1."),
        (r"^1\.(\d)\.block\.0\.0\.", r"blocks.0.\1.conv_dw."),
        (r"^1\.(\d)\.block\.0\.1\.", r"blocks.0.\1.bn1."),
        (r"^1\.(\d)\.block\.1\.fc1", r"blocks.0.\1.se.conv_reduce"),
        (r"^1\.(\d)\.block\.1\.fc2", r"blocks.0.\1.se.conv_expand"),
        (r"^1\.(\d)\.block\.2\.0\.", r"blocks.0.\1.conv_pw."),
        (r"^1\.(\d)\.block\.2\.1\.", r"blocks.0.\1.bn2."),
    ]
    for ours_name, name in (
        ("0.0", "conv_pw"),
        ("0.1", "bn1"),
        ("1.0", "conv_dw"),
        ("1.1", "bn2"),
        ("2.fc1", "se.conv_reduce"),
        ("2.fc2", "se.conv_expand"),
        ("3.0", "conv_pwl"),
        ("3.1", "bn3"),
    ):
        for stage in (2, 3):
            names.append((rf"^{stage}\.(\d)\.block\.{ours_name}\.", rf"blocks.{stage - 1}.\1.{name}."))
    state = weights.renamed(theirs.backbone.state_dict(), names)
    assert "blocks.2.3.se.conv_expand.bias" in state
    save_file({**state, "classifier.weight": torch.zeros(1000, 1792)}, tmp_path / "model.safetensors")
    told = weights.load(ours, str(tmp_path))
    assert "are trained from the start, in deepest, head, image_mask, masks, ups" in told
    for one, other in zip(
        theirs.backbone.state_dict().values(), ours.backbone.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


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


@pytest.mark.parametrize(("name", "other"), [("fc-siam-diff", "fc-siam-conc"), ("unet", "fc-ef")])
def test_another_models_file_is_refused(name: str, other: str, tmp_path: Path) -> None:
    network, theirs = (models.create(each, in_channels=3) for each in (name, other))
    torch.save({"model": other, "weights": theirs.state_dict()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=f"holds {other}, another model: name a file of {name}"):
        weights.load(network, str(tmp_path / "model.pt"))
    before = network.state_dict()["head.weight"].clone()
    torch.save(theirs.state_dict(), tmp_path / "bare.pt")
    with pytest.raises(InputError, match=r"is another model's than|does not hold weights of"):
        weights.load(network, str(tmp_path / "bare.pt"))
    assert torch.equal(network.state_dict()["head.weight"], before)


def test_bands_are_matched_by_wavelength(tmp_path: Path) -> None:
    """A first layer of red, green and blue gives blue's filters to the blue band, wherever that stands."""
    from models.training import first_layers

    assert first_layers.places(["B02", "B03", "B04", "B08"], ["red", "green", "blue"]) == [2, 1, 0, 0]
    assert first_layers.places(["B", "G", "R"], ["red", "green", "blue"]) == [2, 1, 0]
    assert first_layers.places(["x", "y"], ["red", "green", "blue"]) == [0, 1]
    trained = models.create("fc-ef", in_channels=3)
    network = models.create("fc-ef", in_channels=4)
    torch.save(
        {"model": "fc-ef", "weights": trained.state_dict(), "bands": ["R", "G", "B"]}, tmp_path / "model.pt"
    )
    weights.load(network, str(tmp_path / "model.pt"), ["B02", "B03", "B04", "B08"])
    # Of both dates: blue, green, then red shared with near infrared.
    (first,) = first_layers.names_of(network)
    there, here = trained.state_dict()[first], network.state_dict()[first]
    for date in (0, 1):
        assert torch.equal(here[:, 4 * date], there[:, 3 * date + 2])
        assert torch.allclose(here[:, 4 * date + 2 : 4 * date + 4], there[:, [3 * date] * 2] / 2)
