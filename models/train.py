"""Train one model on a benchmark: a plain loop, the same numbers after an interruption.

runs/<model>/model.pt        weights, the scale of the bands, and how they came about
runs/<model>/train.csv       step, loss, validation loss
runs/<model>/checkpoint.pt   only while training; a rerun goes on from it
"""

import csv
import hashlib
import json
import logging
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models import data, registry
from models.data import Pairs, Scale, Series
from models.errors import InputError, WorkError
from models.files import replacing
from models.metrics import UNKNOWN
from models.progress import progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to train; `params.yaml` gives them by model. `options` go to the model itself."""

    steps: int = 2000
    batch: int = 16
    learning_rate: float = 1e-3
    positive_weight: float = 1.0
    """Weight of a positive pixel in the cross-entropy."""
    changed_share: float = 0.75
    """Share of a batch drawn from pairs (or tiles) that have positives at all."""
    crop: int | None = None
    """Side of a random crop, pixels; whole tiles without it."""
    validate_every: int = 200
    validation_items: int = 64
    seed: int = 0
    fold: str | None = None
    """Another split by site, "kfold/0" or "country/DEU"; see `models.data.open`."""
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: dict[str, Any], model: str) -> "Settings":
        """From a mapping; InputError names an unknown setting."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise InputError(
                f"params.yaml: train.{model} has no setting '{unknown[0]}'; "
                f"known: {', '.join(sorted(known))}."
            )
        return cls(**given)


def train(benchmark_dir: Path, model: str, settings: Settings) -> Path:
    """Train `model` on the training split; returns the path of its weights.

    The weights with the lowest validation loss are kept. Goes on from a checkpoint of the same
    settings. WorkError where the loss is not a number.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = registry.task_of(model)
    source = Source(benchmark_dir, task, settings)
    torch.manual_seed(settings.seed)
    network = registry.create(model, in_channels=source.bands, **settings.options).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, settings.steps, settings.learning_rate / 100
    )
    run = run_folder(benchmark_dir, model, settings.fold)
    run.mkdir(parents=True, exist_ok=True)
    state = Checkpoint(
        run / "checkpoint.pt", _key(benchmark_dir, model, settings), network, optimiser, schedule
    )
    state.resume(device)
    with progress(f"train {model}", settings.steps, "steps") as advance:
        for _ in range(state.step):
            advance()
        for images, label in source.batches(state.step, settings.steps):
            _step(state, [i.to(device) for i in images], label.to(device), settings)
            advance()
            if state.step % settings.validate_every == 0 or state.step == settings.steps:
                state.note(_validation_loss(network, source, settings, device))
    _finish(run, model, state, source.scale, settings, task)
    return run / "model.pt"


def run_folder(benchmark_dir: Path, model: str, fold: str | None = None) -> Path:
    """Where a run's files are: runs/<model>, or runs/<model>@<scheme>-<fold>."""
    return Path(benchmark_dir) / "runs" / (f"{model}@{fold.replace('/', '-')}" if fold else model)


class Source:
    """Batches by step number alone, so that a resumed run sees what it would have seen."""

    def __init__(self, benchmark_dir: Path, task: str, settings: Settings) -> None:
        kind = "pairs" if task == "change" else "series"
        self.settings = settings
        self.training = data.open(benchmark_dir, kind, "train", neighbours=False, fold=settings.fold)
        self.scale: Scale = self.training.scale
        self.validation = self._validation(benchmark_dir, kind)
        self.positive = np.flatnonzero(self._has_positives(benchmark_dir, self.training))
        if not len(self.positive):
            raise InputError(
                f"{benchmark_dir}: the training split has no "
                f"{'change' if task == 'change' else 'footprint'} to learn from."
            )
        self.bands = len(self.scale.mean)

    def _validation(self, benchmark_dir: Path, kind: str) -> Pairs | Series | None:
        try:
            return data.open(
                benchmark_dir, kind, "val", self.scale, neighbours=False, fold=self.settings.fold
            )
        except InputError:
            log.warning("no validation split: the last weights are kept")
            return None

    def _has_positives(self, benchmark_dir: Path, dataset: Pairs | Series) -> NDArray[np.bool_]:
        if isinstance(dataset, Pairs):
            return (dataset.pairs.changed > 0).to_numpy()
        table = data.read_table(benchmark_dir, "tile_periods")
        largest = table.groupby("tile_id").mine_fraction.max()
        return np.array([largest.get(tile.tile_id, 0) > 0 for tile in dataset.tiles])

    def batches(self, first: int, end: int) -> Iterator[tuple[list[Tensor], Tensor]]:
        """The batches of steps `first` to before `end`, each read while the one before is used."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.batch, first)
            for step in range(first, end):
                now = coming.result()
                coming = pool.submit(self.batch, min(step + 1, end - 1))
                yield now

    def batch(self, step: int) -> tuple[list[Tensor], Tensor]:
        """Inputs, each (N, C, H, W), and the label (N, H, W) of a training step, augmented."""
        rng = np.random.default_rng([self.settings.seed, step])
        size = self.settings.batch
        drawn = rng.choice(self.positive, size)
        anywhere = rng.random(size) >= self.settings.changed_share
        drawn[anywhere] = rng.integers(0, len(self.training), int(anywhere.sum()))
        return _stacked(
            [_augmented(_sample(self.training, int(i), rng), self.settings.crop, rng) for i in drawn]
        )


def _sample(
    dataset: Pairs | Series, index: int, rng: np.random.Generator | None
) -> tuple[list[Tensor], Tensor]:
    """One item's inputs and label; of a series a random date, or the last one without `rng`."""
    if isinstance(dataset, Pairs):
        pair = dataset[index]
        return [pair["a"], pair["b"]], pair["label"]
    image, mask = dataset.one_date(index, rng)
    return [image], mask


def _augmented(
    sample: tuple[list[Tensor], Tensor], crop: int | None, rng: np.random.Generator
) -> tuple[list[Tensor], Tensor]:
    """A random crop, turn and flip, the same for all dates and the label; dates may swap."""
    images, label = sample
    turns, flip, swap = int(rng.integers(4)), bool(rng.integers(2)), bool(rng.integers(2))
    height, width = label.shape
    if crop and crop < min(height, width):
        y, x = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
        images = [image[:, y : y + crop, x : x + crop] for image in images]
        label = label[y : y + crop, x : x + crop]
    images = [torch.rot90(image, turns, (1, 2)) for image in images]
    label = torch.rot90(label, turns, (0, 1))
    if flip:
        images, label = [image.flip(2) for image in images], label.flip(1)
    return (images[::-1] if swap else images), label


def _stacked(samples: list[tuple[list[Tensor], Tensor]]) -> tuple[list[Tensor], Tensor]:
    images = [torch.stack(list(each)) for each in zip(*(sample[0] for sample in samples), strict=True)]
    return images, torch.stack([sample[1] for sample in samples])


def loss_of(logits: Tensor, label: Tensor, positive_weight: float) -> Tensor:
    """Binary cross-entropy over known pixels plus soft Dice over the batch. `logits` (N, 1, H, W),
    `label` (N, H, W) in {0, 1, 255}."""
    known = label != UNKNOWN
    z, true = logits[:, 0][known], (label[known] == 1).float()
    weight = torch.tensor(positive_weight, device=z.device)
    entropy = F.binary_cross_entropy_with_logits(z, true, pos_weight=weight)
    p = torch.sigmoid(z)
    dice = 1 - (2 * (p * true).sum() + 1) / (p.sum() + true.sum() + 1)
    return entropy + dice


def _step(state: "Checkpoint", images: list[Tensor], label: Tensor, settings: Settings) -> None:
    # Dropout draws from this seed, so it too depends on the step alone.
    torch.manual_seed(settings.seed * 1_000_003 + state.step)
    state.network.train()
    state.optimiser.zero_grad(set_to_none=True)
    loss = loss_of(state.network(*images), label, settings.positive_weight)
    if not torch.isfinite(loss):
        raise WorkError(f"The loss is not a number at step {state.step}: lower learning_rate in params.yaml.")
    loss.backward()
    state.optimiser.step()
    state.schedule.step()
    state.losses.append(float(loss.detach()))
    state.step += 1


@torch.no_grad()
def _validation_loss(network: nn.Module, source: Source, settings: Settings, device: torch.device) -> float:
    """Mean loss over validation items spread evenly; NaN without a validation split."""
    dataset = source.validation
    if dataset is None:
        return float("nan")
    network.eval()
    chosen = np.unique(np.linspace(0, len(dataset) - 1, settings.validation_items).round().astype(int))
    losses = []
    for start in range(0, len(chosen), settings.batch):
        images, label = _stacked(
            [_sample(dataset, int(i), None) for i in chosen[start : start + settings.batch]]
        )
        logits = network(*(i.to(device) for i in images))
        losses.append((float(loss_of(logits, label.to(device), settings.positive_weight)), len(label)))
    return float(np.average([loss for loss, _ in losses], weights=[n for _, n in losses]))


class Checkpoint:
    """The state of a run, saved at each validation."""

    def __init__(
        self, path: Path, key: str, network: nn.Module, optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:  # fmt: skip
        self.path, self.key = path, key
        self.network, self.optimiser, self.schedule = network, optimiser, schedule
        self.step = 0
        self.losses: list[float] = []
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.lowest = float("inf")

    def note(self, validation_loss: float) -> None:
        """Take down a validation, keep the weights if they are the best, and save."""
        self.history.append(
            {"step": self.step, "loss": float(np.mean(self.losses)), "val_loss": validation_loss}
        )
        self.losses.clear()
        log.info("step %d: %s", self.step, self.history[-1])
        # Without a validation split the loss is NaN and the last weights are kept.
        if not validation_loss >= self.lowest:
            self.lowest = validation_loss if validation_loss == validation_loss else float("inf")
            self.best = {
                name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()
            }
        saved = {name: getattr(self, name) for name in ("key", "step", "history", "best", "lowest")}
        saved |= {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
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
        self.step, self.history, self.best, self.lowest = (
            saved[n] for n in ("step", "history", "best", "lowest")
        )
        log.info("resumed at step %d", self.step)


def _key(benchmark_dir: Path, model: str, settings: Settings) -> str:
    """Changes with the data's index, the model and the settings."""
    digest = hashlib.sha256(json.dumps([model, asdict(settings)], sort_keys=True).encode())
    digest.update((Path(benchmark_dir) / "index" / "pairs.parquet").read_bytes())
    return digest.hexdigest()


def _finish(run: Path, model: str, state: Checkpoint, scale: Scale, settings: Settings, task: str) -> None:
    with replacing(run / "train.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "val_loss"])
        writer.writeheader()
        writer.writerows(state.history)
    saved = {
        "model": model,
        "task": task,
        "weights": state.best,
        "options": settings.options,
        "settings": asdict(settings),
        "mean": scale.mean.tolist(),
        "std": scale.std.tolist(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    with replacing(run / "model.pt") as temporary:
        torch.save(saved, temporary)
    state.path.unlink(missing_ok=True)


def load(path: Path, device: torch.device | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """A trained model in eval mode and what was saved with it. InputError where it is none."""
    if not path.is_file():
        raise WorkError(f"{path} is missing: run `minebench train` first.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        network = registry.create(saved["model"], in_channels=len(saved["mean"]), **saved["options"])
        network.load_state_dict(saved["weights"])
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(
            f"{path} is not a minebench model ({type(error).__name__}): train it again."
        ) from None
    return network.to(device or "cpu").eval(), saved
