import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
import torch
from transformers import (
    SwinConfig,
    SwinForImageClassification,
)

import models
from minebench.errors import InputError, WorkError
from models.training import weights


@pytest.fixture(scope="module")
def swin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's folder as the hub has it: three bands, prefix, a head that nobody wants."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("swin")
    SwinForImageClassification(SwinConfig(num_labels=5)).save_pretrained(folder)
    return folder


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


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and says what was asked; of a name with "cut" half of what it promises."""

    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None: ...

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.asked.append(self.path)
        content = source.read()
        outputfile.write(content[: len(content) // 2] if "cut" in self.path else content)


def test_weights_from_the_web_are_kept_by_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one name are two; one that breaks off, or is not there, leaves nothing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    trained = [models.create("unet", in_channels=3, width=4) for _ in range(2)]
    for place, network in zip(("a", "b"), trained, strict=True):
        (tmp_path / "web" / place).mkdir(parents=True)
        path = tmp_path / "web" / place / "model.pth"
        torch.save({"weights": network.state_dict(), "model": "unet"}, path)
        shutil.copyfile(path, path.with_name("cut.pth"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path / "web"))) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        for place, network in (*zip("ab", trained, strict=True), ("a", trained[0])):
            held = weights.read(weights._from_web(f"{here}/{place}/model.pth?download=true"))
            assert torch.equal(held.state["head.weight"], network.head.weight)
        kept = sorted((tmp_path / "torch/hub/checkpoints").iterdir())
        assert len(kept) == 2
        with pytest.raises(WorkError, match="broke off"):
            weights._from_web(f"{here}/a/cut.pth")
        with pytest.raises(WorkError, match="404"):
            weights._from_web(f"{here}/a/none.pth")
        server.shutdown()
    assert [path.partition("?")[0] for path in Files.asked] == ["/a/model.pth", "/b/model.pth", "/a/cut.pth"]
    assert sorted((tmp_path / "torch/hub/checkpoints").iterdir()) == kept
    with pytest.raises(WorkError, match="cannot be downloaded"):
        weights.load(trained[0], "https://127.0.0.1:1/model.pth")


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


def test_an_unknown_band_takes_nothing_from_a_known_one() -> None:
    from models.training import first_layers

    match = first_layers.matched(["blue", "green", "red", "ndvi"], first_layers.RGB)
    assert (match.places[:3], match.shares) == ([2, 1, 0], [1, 1, 1, 0])
    assert match.unknown == ("ndvi",)
    assert "blue takes blue, green takes green, red takes red; ndvi of unknown meaning" in str(match)


@pytest.mark.parametrize(
    ("ours", "alone"),
    [
        (["B2", "B3", "B4", "B8"], [1, 1, 1, 0]),
        (["blue", "green", "red", "NIR"], [1, 1, 1, 0]),
        (["R", "G", "B", "nir1"], [1, 1, 1, 0]),
        (["coastal", "Blue", "Green", "Red"], [0, 1, 1, 1]),
        (["blue", "green", "NIR"], [1, 1, 0]),  # infrared is not red
    ],
)
def test_a_checkpoint_sees_each_colour_in_its_own_place(ours: list[str], alone: list[float]) -> None:
    from models.training import first_layers

    match = first_layers.matched(ours, first_layers.RGB, alone=True)
    assert match.shares == alone
    colours = {"B2": "blue", "B3": "green", "B4": "red", "R": "red", "G": "green", "B": "blue"}
    for band, place, share in zip(ours, match.places, match.shares, strict=True):
        assert not share or first_layers.RGB[place] == colours.get(band, band.lower())


def test_a_checkpoint_is_not_scored_on_bands_that_nobody_knows(tmp_path: Path) -> None:
    network = models.create("fc-ef", in_channels=3)
    torch.save(models.create("fc-ef", in_channels=3).state_dict(), tmp_path / "x.pth")
    with pytest.raises(InputError, match="meaning of the bands B1, B2, B3 is not known"):
        weights.load(network, str(tmp_path / "x.pth"), ["B1", "B2", "B3"], alone=True)
    said = weights.load(network, str(tmp_path / "x.pth"), ["B", "G", "R"], alone=True)
    assert said.endswith("; bands: B takes blue, G takes green, R takes red")
