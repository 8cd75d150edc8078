import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
import zarr

from minebench.errors import InputError, WorkError
from models import registry
from models.training import train
from models.training.checkpoint import load, run_folder
from models.training.optimiser import choose_parameters
from models.training.settings import Settings
from tests.conftest import run
from tests.models.training.few_steps import SETTINGS, settings_of


def test_a_run_says_how_it_came_about(project: Path) -> None:
    path = train.train(project / "data/tiny", "unet", settings_of("unet"))
    told = json.loads((path.parent / "run.json").read_text())
    assert told["settings"]["steps"] == 6
    assert {"torch", "transformers", "minebench"} <= set(told["packages"])
    assert len(told["git"].removesuffix("-dirty")) == 40


def test_bad_settings_checkpoints_and_labels(project: Path) -> None:
    benchmark = project / "data/tiny"
    for wrong, message in (
        ({"epoch": 3}, "has no setting 'epoch'"),
        ({"steps": "many"}, "train.unet.steps is 'many'; it is a whole number"),
        ({"batch": 0}, "train.unet.batch is 0; it is at least 1"),
        ({"optimiser": "lion"}, "choose one of adam, adamw, sgd"),
        ({"augment": ["spin"]}, "augment has no 'spin'"),
    ):
        with pytest.raises(InputError, match=message):
            Settings.of(wrong, "unet")
    with pytest.raises(WorkError, match="train the model first"):
        load(benchmark / "runs/unet/model.pt")
    (benchmark / "runs/unet").mkdir(parents=True)
    (benchmark / "runs/unet/model.pt").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"cannot be read as a model \(.+\): train it again"):
        load(benchmark / "runs/unet/model.pt")
    torch.save({"weights": {}}, benchmark / "runs/unet/model.pt")
    with pytest.raises(InputError, match="is not a minebench model: train it again"):
        load(benchmark / "runs/unet/model.pt")
    torch.save(
        {"model": "unet", "bands": ["a"], "options": {}, "weights": {}}, benchmark / "runs/unet/model.pt"
    )
    with pytest.raises(InputError, match="is of another version of unet"):
        load(benchmark / "runs/unet/model.pt")
    with pytest.raises(WorkError, match="loss is not a number") as failed:
        train.train(
            benchmark, "unet", settings_of("unet", steps=30, learning_rate=1e30, options={"width": 4})
        )
    listed = json.loads((benchmark / "runs/unet/not_a_number.json").read_text())
    assert "not_a_number.json" in str(failed.value)
    tiles = set(pd.read_parquet(benchmark / "index/tiles.parquet").tile_id)
    assert {item.split()[0] for item in listed["items"]} <= tiles
    for path in (benchmark / "cubes").glob("*.zarr"):
        zarr.open_group(path, mode="r+")["mine"][:] = 0
    assert run("tile", cwd=project).returncode == 0
    done = run("train", "--model", "unet", cwd=project)
    assert done.returncode == 2
    assert "no footprint to learn from" in done.stderr


def test_running_out_of_memory_is_a_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(train.Loop, "_step", full)
    with pytest.raises(WorkError, match="batch of 2 items of 32 x 32 pixels: lower batch or crop"):
        train.train(project / "data/tiny", "unet", settings_of("unet"))


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (
            ValueError("Expected more than 1 value per channel when training, got input size [1, 512, 1, 1]"),
            "a batch of 2 is too small for that: raise batch",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error.\nRaise it"),
            r"Bus error.\): give .* more shared memory .* or lower train's threads or batch",
        ),
    ],
)
def test_what_ends_a_step_is_a_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, message: str
) -> None:
    def fails(self: object, batch: object) -> None:
        raise raised

    monkeypatch.setattr(train.Loop, "_step", fails)
    with pytest.raises((InputError, WorkError), match=message):
        train.train(project / "data/tiny", "unet", settings_of("unet"))


def test_what_cannot_go_together_is_a_sentence(project: Path) -> None:
    benchmark = project / "data/tiny"
    for model, given, message in (
        ("insinet", {}, "cannot both be cropped"),
        ("insinet", {"crop": None, "series": True}, "remove `series`"),
        (
            "minenetcd-resnet18",
            {"crop": 20, "weights": None},
            "takes tiles of at least 32 pixels a side, not 20 x 20",
        ),
        ("deeplabv3-mobilevitv2", {"crop": 40, "weights": None}, "multiples of 32 pixels, not 40 x 40"),
        ("cva", {"mode": "frozen"}, None),
        ("cva", {"series": True}, "is fitted to single dates or pairs"),
        ("fc-ef", {"weights": "pretrained"}, "fc-ef has no pretrained weights"),
    ):
        settings = Settings.of({**SETTINGS, **given}, model)
        if message is None:
            train.train(benchmark, model, settings)
            continue
        shutil.rmtree(run_folder(benchmark, model), ignore_errors=True)
        with pytest.raises(InputError, match=message):
            train.train(benchmark, model, settings)


def test_early_stopping_and_what_is_trained(project: Path) -> None:
    benchmark = project / "data/tiny"
    given = {"steps": 40, "validate_every": 1, "patience": 2, "learning_rate": 1e-12}
    path = train.train(benchmark, "unet", settings_of("unet", **given))
    steps = pd.read_csv(path.parent / "live/plots/metrics/loss.tsv", sep="\t").step
    assert len(steps) < 40
    for mode, part in (("frozen", "encoders"), ("head", "head")):
        before = registry.create("unet", in_channels=5, width=4)
        choose_parameters(before, mode)
        trained = {name.split(".")[0] for name, p in before.named_parameters() if p.requires_grad}
        assert trained == ({"head"} if mode == "head" else {"ups", "decoders", "head"}), part
    settings = settings_of("unet", mode="frozen", steps=3)
    torch.manual_seed(settings.seed)
    start = registry.create("unet", in_channels=5, width=4).state_dict()
    end = load(train.train(benchmark, "unet", settings))[1]["weights"]
    changed = {name.split(".")[0] for name in end if not torch.equal(start[name], end[name])}
    # Neither weights nor batch statistics of what is frozen move.
    assert "encoders" not in changed
    assert {"head", "decoders"} <= changed


def test_the_same_training_gives_the_same_bytes(project: Path) -> None:
    found = []
    for _ in range(2):
        shutil.rmtree(project / "data/tiny/runs", ignore_errors=True)
        assert run("train", "--model", "unet", cwd=project).returncode == 0
        folder = project / "data/tiny/runs/unet"
        found.append([(folder / name).read_bytes() for name in ("model.pt", "run.json")])
    assert found[0] == found[1]
