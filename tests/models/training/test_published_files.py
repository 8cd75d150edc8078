"""Files as the trainers of published code write them."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

import models
from minebench.errors import InputError
from models.training import weights
from tests.zoo import published

State = dict[str, Tensor]
LAYOUTS = published.layouts()


def published_state(name: str) -> State:
    """Return the tensors of a published checkpoint."""
    return published.checkpoint(LAYOUTS[name]["tensors"])


def load(name: str, path: Path, **options: Any) -> str:
    """Load a file into a new model and return what is said of it, without the place."""
    told = weights.load(models.create(name, in_channels=3, **options), str(path), ["red", "green", "blue"])
    return told.replace(f"{path.parent}/", "")


def of_bits_trainer(state: State) -> dict[str, Any]:
    """justchenhao/BIT_CD models/trainer.py; ChangeFormer, DMINet and ICIF-Net have the same."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(2))], 0.01, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: 1.0 - epoch / 201)
    return {
        "epoch_id": 187, "best_val_acc": np.nanmean([0.98, 0.93]), "best_epoch_id": 187,
        "model_G_state_dict": state, "optimizer_G_state_dict": optimiser.state_dict(),
        "exp_lr_scheduler_G_state_dict": schedule.state_dict(),
    }  # fmt: skip


def of_a2nets_trainer(state: State) -> dict[str, Any]:
    """guanyuezhen/A2Net tools/train.py, checkpoint.pth.tar; TFI-GR has the same."""
    return {
        "epoch": 78, "arch": "BaseNet()", "state_dict": state, "optimizer": {}, "lossTr": np.float64(0.2),
        "lossVal": 0.3, "F_Tr": np.float32(0.9), "F_val": np.float64(0.8), "lr": 1e-6,
    }  # fmt: skip


FORMS: dict[str, Callable[[State], Any]] = {
    "bit": of_bits_trainer,
    "a2net": of_a2nets_trainer,
    "dtcdscn": lambda state: {"epoch": 400, "weight": state},
    "pspnet": lambda state: {"epoch": 9, "state_dict": {f"module.{name}": t for name, t in state.items()}},
    "ucd": lambda state: {f"CD_model.{name}": tensor for name, tensor in state.items()},
    "ucd, on several GPUs": lambda state: {
        f"CD_model.module.{name}": tensor for name, tensor in state.items()
    },
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "numpy's other numbers": lambda state: {"a": np.int64(1), "b": np.bool_(True), "model": state},
}
STATE = {"conv.weight": torch.arange(4.0), "modules.bias": torch.ones(2)}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_trainers_file_is_read(form: str, old: bool, tmp_path: Path) -> None:
    """Also in the format of torch before 1.6."""
    path = tmp_path / "best_ckpt.pt"
    torch.save(FORMS[form](STATE), path, _use_new_zipfile_serialization=not old)
    found = weights.read(path).state
    assert list(found) == list(STATE)
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


def test_numbers_of_numpy_1_are_read(tmp_path: Path) -> None:
    torch.save(of_bits_trainer(STATE), tmp_path / "numpy2.pt")
    with zipfile.ZipFile(tmp_path / "numpy2.pt") as new, zipfile.ZipFile(tmp_path / "numpy1.pt", "w") as old:
        for name in new.namelist():
            old.writestr(name, new.read(name).replace(b"numpy._core.", b"numpy.core."))
    assert list(weights.read(tmp_path / "numpy1.pt").state) == list(STATE)


def test_bits_published_form_has_heads_of_8(tmp_path: Path) -> None:
    """base_transformer_pos_s4_dd8_dedim8, the one whose file its authors give away."""
    shapes = dict(LAYOUTS["bit"]["tensors"])
    for name, shape in shapes.items():
        if name.startswith("transformer_decoder.") and ".to_" in name and len(shape) == 2:
            shapes[name] = [64 if side == 512 else side for side in shape]
    unused = ("resnet.layer4.", "resnet.fc.")
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith(unused)}
    path = tmp_path / "best_ckpt.pt"
    torch.save(of_bits_trainer(published.checkpoint(shapes)), path)
    assert load("bit", path, head_width=8) == "194 of 194 tensors from best_ckpt.pt"
    with pytest.raises(
        InputError, match=r"another model's than bit, or another form's \(see its `options`\)"
    ):
        load("bit", path)


def test_files_of_ucd_load(tmp_path: Path) -> None:
    """PyTorchModelHubMixin writes a folder; EricYu97/UCD model.py."""
    framework = FORMS["ucd"](published_state("tinycd"))
    (tmp_path / "new").mkdir()
    save_file(framework, tmp_path / "new" / "model.safetensors")
    assert load("tinycd", tmp_path / "new") == "250 of 250 tensors from new"
    (tmp_path / "old").mkdir()
    torch.save(framework, tmp_path / "old" / "pytorch_model.bin")
    assert load("tinycd", tmp_path / "old") == "250 of 250 tensors from old"


def test_tinycds_older_file_loads(tmp_path: Path) -> None:
    """AndreaCodegoni/Tiny_model_4_CD pretrained_models/whu_best.pth: the deepest mixing had a mask's name."""
    state = published_state("tinycd")
    older = {name.replace("_mask.2._conv", "_mask.2._mixing._conv"): value for name, value in state.items()}
    assert set(older) - set(state)
    network = models.create("tinycd", in_channels=3)
    torch.save(older, tmp_path / "whu_best.pth")
    told = weights.load(network, str(tmp_path / "whu_best.pth"), ["red", "green", "blue"])
    assert told.startswith("250 of 250 tensors")
    assert torch.equal(network.deepest.mix[0].weight, state["_mixing_mask.2._convmix.0.weight"])


class Published(nn.Module):
    """A network whose tensors have the names of a published checkpoint."""

    def __init__(self, state: State) -> None:
        super().__init__()
        for name, tensor in state.items():
            *parents, own = name.split(".")
            module: nn.Module = self
            for parent in parents:
                if not hasattr(module, parent):
                    module.add_module(parent, nn.Module())
                module = module.get_submodule(parent)
            module.register_buffer(own, tensor)


@pytest.mark.parametrize("old", [False, True])
def test_a_pickled_module_is_refused_with_the_line_that_makes_weights_of_it(
    old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SNUNet, LSNet, MSPSNet and HANet are published so: `torch.save(model, path)`."""
    path = tmp_path / "checkpoint_epoch_100.pt"
    torch.save(Published(published_state("lsnet")), path, _use_new_zipfile_serialization=not old)
    named = (
        r"checkpoint_epoch_100\.pt is a whole module \(tests\.models\.training\.test_published_files\.Publi"
    )
    with pytest.raises(InputError, match=named) as refused:
        load("lsnet", path)
    before, code, after = str(refused.value).split('"')
    assert before.endswith("run TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 python -c ")
    assert after == " and name checkpoint_epoch_100_state.pth."
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    exec(code)
    count = len(weights._learned(models.create("lsnet", in_channels=3)))
    assert load("lsnet", tmp_path / after.split()[2][:-1]).startswith(f"{count} of {count} tensors")


class Options:
    """What a trainer was told, pickled beside its weights."""


def test_what_would_run_code_is_named_and_not_run(tmp_path: Path) -> None:
    torch.save({"options": Options(), "state_dict": STATE}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"holds tests\S+Options beside its weights, and reading"):
        weights.read(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["segformer-b0", "deeplabv3-mobilevitv2"])
def test_a_head_of_two_classes_becomes_ours(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.create(name, in_channels=3).eval()
    inner: PreTrainedModel = network.network  # type: ignore[assignment]
    config = type(inner.config).from_dict({**inner.config.to_dict(), "num_labels": 2})
    theirs = type(inner)(config).eval()  # type: ignore[operator]
    for head in theirs.modules():
        if isinstance(head, nn.Conv2d) and head.out_channels == 2:
            nn.init.normal_(head.weight)
            nn.init.normal_(head.bias)
    theirs.save_pretrained(tmp_path)
    told = weights.load(network, str(tmp_path))
    assert "trained from the start" not in told
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        background, mine = theirs(image).logits[0]
        ours = inner(image).logits[0, 0]
    # A sum over the head's channels, and one of their differences: float32's rounding of either.
    assert torch.allclose(ours, mine - background, atol=1e-5 * float(background.abs().max()))
