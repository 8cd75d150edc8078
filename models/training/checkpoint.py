"""The state of a training run on disk: what it goes on from, and what it ends in."""

import logging
import platform
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minebench import receipts
from minebench.data import datasets
from minebench.data.datasets import Scale
from minebench.errors import InputError, NotMadeYet, WorkError
from minebench.files import replacing, sha256, write_json
from models import registry
from models.base import Model
from models.run_name import RunName
from models.training import augment, unlabelled
from models.training.settings import Settings

log = logging.getLogger(__name__)


def run_folder(benchmark_dir: Path, model: str, fold: str | None = None) -> Path:
    """Return where the files of a run are, or of a fold of it: runs/<name>."""
    name = replace(RunName.parse(model), fold=fold) if fold else model
    return Path(benchmark_dir) / "runs" / str(name)


class Checkpoint:
    """The state of a run, saved at each validation."""

    def __init__(
        self, path: Path, key: str, network: Model, optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:  # fmt: skip
        self.path, self.key = path, key
        self.network, self.optimiser, self.schedule = network, optimiser, schedule
        self.step = 0
        self.stale = 0
        """Validations since the loss was lowest."""
        self.losses: list[float] = []
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.lowest = float("inf")

    def note(self, validation_loss: float, save: bool = True) -> None:
        """Take down a validation, keep the weights if they are the best, and save."""
        mean = float(np.mean(self.losses)) if self.losses else float("nan")
        self.history.append({"step": self.step, "loss": mean, "val_loss": validation_loss})
        self.losses.clear()
        log.info("step %d: %s", self.step, self.history[-1])
        self.stale += 1
        # Without a validation split the loss is NaN and the last weights are kept.
        if not validation_loss >= self.lowest:
            self.lowest = validation_loss if validation_loss == validation_loss else float("inf")
            self.stale = 0
            self.best = {
                name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()
            }
        if save:
            saved = {
                name: getattr(self, name) for name in ("key", "step", "stale", "history", "best", "lowest")
            }
            saved |= {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
            if not self.stale:
                # The best weights are those of now: a quarter of the file less.
                saved["best"] = {}
            with replacing(self.path) as temporary:
                torch.save(saved, temporary)

    def resume(self, device: torch.device) -> None:
        """Take up a checkpoint of the same inputs and settings, if there is one."""
        if not self.path.is_file():
            return
        saved = torch.load(self.path, map_location=device, weights_only=True)
        if saved["key"] != self.key:
            return
        for name in ("network", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(saved[name])
        for name in ("step", "stale", "history", "best", "lowest"):
            setattr(self, name, saved[name])
        if not self.stale and self.history:
            self.best = {name: value.detach().cpu().clone() for name, value in saved["network"].items()}
        log.info("resumed at step %d", self.step)


VERSION = 3
"""Of training itself: raise it when the same settings and data train other weights. Every architecture
has a version of its own (`models.base.Model`)."""


def key_of(benchmark_dir: Path, model: str, settings: Settings) -> str:
    """What a training depends on: data, model and settings."""
    weights = Path(settings.weights or "")
    start = sha256(weights) if weights.is_file() else ""
    versions = [VERSION, registry.class_of(model).version]
    if set(augment.RESAMPLING) & set(settings.augment):
        versions.append(augment.RESAMPLING_VERSION)
    chosen = asdict(settings)
    if settings.sites is None:
        del chosen["sites"]  # runs from before there was this setting stay as they are
    return receipts.fingerprint([versions, model, chosen, start, datasets.key_of(benchmark_dir)])


def is_trained(run: Path, key: str) -> bool:
    """Whether a run's weights are there, whole, and of these inputs."""
    told = receipts.read(run / "run.json")
    path = run / "model.pt"
    return told.get(receipts.KEY) == key and path.is_file() and sha256(path) == told.get("weights_sha256")


def finish(
    run: Path, key: str, model: str, weights: dict[str, Tensor], scale: Scale, bands: list[str],
    settings: Settings, **more: Any,
) -> None:  # fmt: skip
    """Write model.pt and run.json, `more` with it, and let the checkpoint go."""
    told_settings = {**asdict(settings), "weights": _named(settings.weights)}
    saved = {
        "model": RunName.parse(model).model,
        "task": registry.task_of(model),
        "weights": weights,
        "options": settings.options,
        "settings": told_settings,
        "bands": bands,
        "mean": scale.mean.tolist(),
        "std": scale.std.tolist(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    # Through an open file: of a path torch puts the name, here a temporary one, into the archive.
    with replacing(run / "model.pt") as temporary, temporary.open("wb") as file:
        torch.save(saved, file)
    # DVCLive's summary, which is in its plots: what DVC does not track would make each clone another one.
    (run / "live" / "metrics.json").unlink(missing_ok=True)
    told = {receipts.KEY: key, "weights_sha256": sha256(run / "model.pt")}
    write_json({"model": model, "settings": told_settings, **environment(), **told, **more}, run / "run.json")
    (run / "checkpoint.pt").unlink(missing_ok=True)


def _named(weights: str | None) -> str | None:
    """Where weights came from, without the place of a local file: runs are published."""
    return Path(weights).name if weights and Path(weights).exists() else weights


def environment() -> dict[str, Any]:
    """What a run ran in: versions, device and the code's git revision."""
    from importlib.metadata import version

    packages = ("minebench", "torch", "transformers", "accelerate", "kornia", "numpy", "zarr")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU"
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "device": device,
        "git": git_revision(),
    }


def git_revision() -> str:
    """The commit of the code that runs, with "-dirty" where it was changed since; "" outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def load(
    path: Path, device: torch.device | None = None, *, model: str | None = None
) -> tuple[Model, dict[str, Any]]:
    """A trained model in eval mode and what was saved with it. InputError where the file is none, or is
    of another model than expected."""
    if not path.is_file():
        raise NotMadeYet(f"{path} is missing: train the model first.")
    if unlabelled.is_mark(path):
        raise NotMadeYet(f"{path} holds no model: there were no labels to train on. Add some, and train it.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} cannot be read as a model ({_said(error)}): train it again.") from None
    if not isinstance(saved, dict) or not {"model", "bands", "options", "weights"} <= set(saved):
        raise InputError(f"{path} is not a minebench model: train it again.")
    name = saved["model"]
    try:
        network = registry.create(name, in_channels=len(saved["bands"]), **saved["options"])
    except ImportError as error:
        raise WorkError(f"{path} holds {name}, which cannot be built here ({_said(error)}).") from None
    try:
        network.load_state_dict(saved["weights"])
    except RuntimeError:
        raise InputError(f"{path} is of another version of {name}: train it again.") from None
    if model is not None and name != RunName.parse(model).model:
        raise InputError(f"{path} holds {name}, not {model}: train {model} again.")
    return network.to(device or "cpu").eval(), saved


def _said(error: Exception) -> str:
    """A library's error as a few words."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0][:200]}" if first else type(error).__name__


def load_run(
    benchmark_dir: Path, model: str, fold: str | None = None, device: torch.device | None = None
) -> tuple[Model, Scale, dict[str, Any]]:
    """The model of a run, the scale of its bands, and what else was saved. InputError also where it was
    trained on other bands than the benchmark has."""
    registry.task_of(model)
    path = run_folder(benchmark_dir, model, fold) / "model.pt"
    if not path.is_file():
        of_fold = f" --fold {fold}" if fold else ""
        raise NotMadeYet(
            f"{path} is missing: run `minebench train --benchmark {benchmark_dir.name} --model {model}"
            f"{of_fold}` first."
        )
    network, saved = load(path, device, model=model)
    bands = datasets.bands_of(benchmark_dir)
    if saved["bands"] != bands:
        raise InputError(
            f"{path} was trained on the bands {' '.join(saved['bands'])} and the benchmark has "
            f"{' '.join(bands)}: train it again."
        )
    scale = Scale(np.array(saved["mean"], np.float32), np.array(saved["std"], np.float32))
    return network, scale, saved
