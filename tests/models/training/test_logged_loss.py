"""The loss that is logged where several processes train."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.training.train import Loop


class TwoProcesses:
    """An accelerator whose other process had other losses."""

    num_processes, device = 2, torch.device("cpu")

    def __init__(self, others: list[float]) -> None:
        self.others = torch.tensor(others)

    def reduce(self, own: Tensor, how: str) -> Tensor:
        assert how == "mean"
        return (own + self.others) / 2


def averaged(accelerator: Any, losses: list[float]) -> list[float]:
    """Return the losses that a loop's state holds once they are averaged."""
    loop = SimpleNamespace(accelerator=accelerator, state=SimpleNamespace(losses=losses))
    Loop._average_losses(loop)  # type: ignore[arg-type]
    return loop.state.losses  # type: ignore[no-any-return]


def test_the_logged_loss_is_of_all_processes() -> None:
    assert averaged(TwoProcesses([0.5, 0.25]), [1.0, 0.75]) == [0.75, 0.5]
    assert averaged(TwoProcesses([]), []) == []


def test_one_processs_losses_stay_as_they_are() -> None:
    losses = [0.1, 0.2]
    assert averaged(SimpleNamespace(num_processes=1), losses) is losses


def test_a_loop_averages_before_it_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each validation, once the last step's loss is there."""
    called: list[str] = []
    for name in ("_look_at_last", "_average_losses", "_validation_loss"):
        monkeypatch.setattr(Loop, name, lambda self, name=name: called.append(name))
    loop = Loop.__new__(Loop)
    loop.every = loop.steps = 1
    loop.run, loop.model = None, "unet"  # type: ignore[assignment]
    loop.settings = SimpleNamespace(batch=1, patience=None)  # type: ignore[assignment]
    loop.accelerator = SimpleNamespace(
        process_index=0, num_processes=2, is_main_process=False, device=torch.device("cpu"),
        wait_for_everyone=lambda: None,
    )  # fmt: skip
    loop.state = SimpleNamespace(step=0, note=lambda loss, save: called.append("note"))  # type: ignore[assignment]
    loop.training = SimpleNamespace(batches=lambda *words: [None])  # type: ignore[assignment]
    monkeypatch.setattr(Loop, "_step", lambda self, batch: setattr(self.state, "step", 1))
    assert loop.run_to_end() is None
    assert called == ["_look_at_last", "_average_losses", "_validation_loss", "note"]
