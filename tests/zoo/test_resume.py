"""An interrupted training goes on where it stopped."""

import shutil
from pathlib import Path

import pytest
import torch

from models import registry
from models.training import train
from models.training.checkpoint import Checkpoint, load, run_folder
from tests.conftest import contents
from tests.models.training.few_steps import settings_of


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("fc-siam-diff", {"augment": ["flip", "turn", "affine", "noise", "jitter", "drop-band", "swap"]}),
        ("fc-siam-diff", {"series": True, "pairs": 2, "balance_intervals": False}),
        ("unet", {"changed_share": 0.5, "loss": "focal"}),
        ("unet", {"series": True, "dates": 2, "loss": "bce-dice", "cache_gb": 1.0}),
        ("tinycd", {"weights": None, "balance_intervals": True, "schedule": "step", "step_epochs": 1}),
    ],
)
def test_a_resumed_run_ends_with_the_same_numbers(
    project: Path, monkeypatch: pytest.MonkeyPatch, model: str, given: dict
) -> None:
    benchmark = project / "data/tiny"
    settings = settings_of(model, **given)
    weights = load(train.train(benchmark, model, settings))[1]
    live = contents(run_folder(benchmark, model) / "live")
    assert len((run_folder(benchmark, model) / "live/plots/metrics/val_loss.tsv").read_text().split()) == 8
    shutil.rmtree(benchmark / "runs")
    original = train.Loop._step

    def interrupted(self: train.Loop, batch: object) -> None:
        if self.state.step == 5:
            raise KeyboardInterrupt
        original(self, batch)

    monkeypatch.setattr(train.Loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.train(benchmark, model, settings)
    monkeypatch.undo()
    assert (benchmark / "runs" / model / "checkpoint.pt").is_file()
    again = load(train.train(benchmark, model, settings))[1]
    named = {name: text.decode().split() for name, text in live.items() if name.endswith(".tsv")}
    for name, words in named.items():
        found = (run_folder(benchmark, model) / "live" / name).read_text().split()
        # Timestamps aside.
        assert found[2::3] == words[2::3] or found[1::2] == words[1::2]
    assert all(torch.equal(weights["weights"][name], again["weights"][name]) for name in weights["weights"])
    assert not (benchmark / "runs" / model / "checkpoint.pt").exists()


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    network = registry.create("unet", in_channels=3, width=4)
    optimiser = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser)
    first = Checkpoint(tmp_path / "c.pt", "one", network, optimiser, schedule)
    first.step = 7
    first.note(0.5)
    for key, step in (("one", 7), ("two", 0)):
        second = Checkpoint(tmp_path / "c.pt", key, network, optimiser, schedule)
        second.resume(torch.device("cpu"))
        assert second.step == step
