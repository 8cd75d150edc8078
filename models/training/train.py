"""Train one model on a benchmark, on what Accelerate finds: the same numbers after an interruption.

runs/<model>/model.pt        weights, the scale of the bands, and how they came about
runs/<model>/run.json        settings, versions, device and git revision
runs/<model>/live/           DVCLive: loss and validation loss by step
runs/<model>/checkpoint.pt   only while training; a rerun goes on from it

On several processes: accelerate launch -m pipeline.cli train --model NAME
"""

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from dvclive import Live

from minebench import rank
from minebench.cube import encoding
from minebench.data import datasets
from minebench.errors import InputError, OutOfMemory, WorkError
from minebench.files import write_json
from minebench.progress import progress
from minebench.text import duration
from models import registry
from models.base import Model
from models.training import classical, lora
from models.training.batches import Batch, BatchSampler, check_series
from models.training.checkpoint import Checkpoint, finish, is_trained, key_of, run_folder
from models.training.objective import Objective
from models.training.optimiser import choose_parameters, freeze_batch_norm, optimiser_of, schedule_of
from models.training.settings import Settings

log = logging.getLogger(__name__)
LIVE: dict[str, Any] = {"save_dvc_exp": False, "dvcyaml": None, "report": None, "cache_images": False}
"""DVCLive writes its numbers and nothing else: dvc.yaml is ours."""
TIMED_STEPS, LONG_S = 3, 600.0
"""Steps by which the rest is judged, and what is long enough to be told."""


def train(benchmark_dir: Path, model: str, settings: Settings, sensor: str = "") -> Path:
    """Train `model` on the training split, unless the run there is of the same data and settings;
    returns the path of its weights. `sensor` is the profile of the benchmark's images, by which numbered
    bands take pretrained weights.

    The weights with the lowest validation loss are kept. Goes on from a checkpoint of the same
    settings. InputError where the split has nothing to learn, WorkError where the loss is not a number
    or memory runs out.
    """
    task = registry.task_of(model)
    run = run_folder(benchmark_dir, model, settings.fold)
    context = registry.class_of(model).context
    training = BatchSampler(benchmark_dir, task, "train", settings, context=context)
    _check(training, benchmark_dir, settings, registry.class_of(model))
    key = key_of(benchmark_dir, model, settings)
    if is_trained(run, key):
        # Weights that lost their plots stay; DVC asks for the folder.
        (run / "live" / "plots" / "metrics").mkdir(parents=True, exist_ok=True)
        return run / "model.pt"
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = registry.create(model, in_channels=len(training.bands), **settings.options)
    if network.classical:
        with Live(str(run / "live"), **LIVE) as live:
            for name, value in classical.fit(network, training).items():
                live.log_metric(name, value)
            live.next_step()
        finish(run, key, model, network.state_dict(), training.scale, training.bands, settings)
        return run / "model.pt"
    validation = _validation(benchmark_dir, task, training, context)
    if settings.weights:
        # Only where weights are loaded: transformers takes two seconds to import.
        from models.training import weights

        bands = datasets.bands_of(benchmark_dir)
        loaded = weights.load(network, settings.weights, bands, sensor=sensor)
        log.info("%s", loaded)
        if rank.is_first():
            print(f"train: {model} begins with {loaded}", file=sys.stderr, flush=True)
    with _sentences(settings, training):
        loop = Loop(run, benchmark_dir, model, network, training, validation)
        state = loop.run_to_end()
    if state is not None:
        best = lora.merged(network, state.best) if settings.mode == "lora" else state.best
        memory = {"peak_memory": _memory(loop.accelerator.device)}
        finish(run, key, model, best, training.scale, training.bands, settings, **memory)
    return run / "model.pt"


class Loop:
    """One run: what it holds, and its steps."""

    def __init__(
        self, run: Path, benchmark_dir: Path, model: str, network: Model, training: BatchSampler,
        validation: BatchSampler | None,
    ) -> None:  # fmt: skip
        settings = training.settings
        self.run, self.model, self.settings = run, model, settings
        self.training, self.validation = training, validation
        self.accelerator = _accelerator(settings)
        workers = self.accelerator.num_processes
        epoch = training.steps_an_epoch(workers)
        self.steps = settings.steps or settings.epochs * epoch
        self.every = min(settings.validate_every or epoch, self.steps)
        choose_parameters(network, settings.mode)
        if settings.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = optimiser_of(network, settings, self.accelerator.device)
        schedule = schedule_of(optimiser, settings, self.steps, epoch)
        objective = Objective(network, training.task, training.scale, settings)
        objective.to(self.accelerator.device)
        self.state = Checkpoint(
            run / "checkpoint.pt", key_of(benchmark_dir, model, settings), network, optimiser, schedule
        )
        self.state.resume(self.accelerator.device)
        self.last: tuple[int, torch.Tensor, list[str]] | None = None
        """Step, loss and items of the last step, until they are looked at."""
        self.network = network
        if settings.compile:
            # Chance is not for a graph. Here and not in augment.py: PyTorch loads its compiler, a second, to
            # be told so.
            without = torch.compiler.disable(objective.augment.forward)
            objective.augment.forward = without  # type: ignore[method-assign]
            objective.compile()
        self.objective, self.optimiser = self.accelerator.prepare(objective, optimiser)

    def run_to_end(self) -> Checkpoint | None:
        """Train; the state at the end, or None on any process but the first."""
        state, accelerator = self.state, self.accelerator
        rank, workers = accelerator.process_index, accelerator.num_processes
        items = self.settings.batch * workers
        live = _live(self.run, state) if accelerator.is_main_process else None
        first, start = state.step, time.monotonic()
        with progress(f"train {self.model}", self.steps * items, "samples") as advance:
            advance(state.step * items)
            for batch in self.training.batches(state.step, self.steps, rank, workers, accelerator.device):
                if self._stopped():
                    break
                self._step(batch)
                advance(items, _memory(accelerator.device))
                if state.step - first == TIMED_STEPS and accelerator.is_main_process:
                    self._announce(time.monotonic() - start)
                if state.step % self.every == 0 or state.step == self.steps:
                    self._look_at_last()
                    self._average_losses()
                    state.note(self._validation_loss(), save=accelerator.is_main_process)
                    if live:
                        _log(live, state.history[-1])
        if live:
            live.end()
        accelerator.wait_for_everyone()
        return state if accelerator.is_main_process else None

    def _announce(self, seconds: float) -> None:
        """Say how long all steps will take on a CPU, where that is long, and what makes it less."""
        left = (self.steps - self.state.step) * seconds / TIMED_STEPS
        if self.accelerator.device.type != "cpu" or left < LONG_S:
            return
        settings, (height, width) = self.settings, self.training.shape
        side = settings.crop or height, settings.crop or width
        text = (
            f"train: {self.model} will take about {duration(left)} on this CPU: {self.steps:,} steps of "
            f"{settings.batch} items of {side[0]} x {side[1]} pixels. Lower steps, batch or crop under "
            f"train.{self.model} in params.yaml, or train on a GPU; Ctrl-C ends it and a rerun goes on."
        )
        log.warning("%s", text)
        print(text, file=sys.stderr, flush=True)

    def _stopped(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.state.stale >= patience

    def _step(self, batch: Batch) -> None:
        state, settings = self.state, self.settings
        # What a step draws (augmentation, dropout) depends on the step and the process alone.
        torch.manual_seed((settings.seed * 1_000_003 + state.step) * 1009 + self.accelerator.process_index)
        self.objective.train()
        if settings.mode != "full":
            freeze_batch_norm(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        with self.accelerator.autocast():
            loss = self.objective(batch.images, batch.masks)
        self.accelerator.backward(loss)
        if self.settings.clip is not None:
            self.accelerator.clip_grad_norm_(self.objective.parameters(), self.settings.clip)
        self.optimiser.step()
        state.schedule.step()
        self._look_at_last()
        self.last = state.step, loss.detach(), batch.names
        state.step += 1

    def _look_at_last(self) -> None:
        """Take down the loss of the last step, which a GPU has been through by now: to ask for that of
        this one would have it wait for us."""
        if self.last is None:
            return
        step, loss, names = self.last
        self.last = None
        value = float(loss)
        if not math.isfinite(value):
            self._give_up(step, names)
        self.state.losses.append(value)

    def _average_losses(self) -> None:
        """Take the mean of all processes' losses, each of which sees its own items."""
        accelerator, losses = self.accelerator, self.state.losses
        if accelerator.num_processes == 1 or not losses:
            return
        own = torch.tensor(losses, device=accelerator.device)
        losses[:] = accelerator.reduce(own, "mean").tolist()

    def _give_up(self, step: int, names: list[str]) -> None:
        path = self.run / "not_a_number.json"
        write_json({"model": self.model, "step": step, "items": names}, path)
        raise WorkError(
            f"The loss is not a number at step {step}: lower train.{self.model}.learning_rate in "
            f"params.yaml; the batch's tiles are listed in {path}."
        )

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Mean loss over validation items spread evenly; NaN without a validation split."""
        if self.validation is None:
            return float("nan")
        source, accelerator = self.validation, self.accelerator
        self.objective.eval()
        # From here on every process and every rerun draws the same.
        torch.manual_seed(self.settings.seed)
        most = self.settings.validation_items or len(source)
        chosen = np.unique(np.linspace(0, len(source) - 1, most).round().astype(int))
        mine = chosen[accelerator.process_index :: accelerator.num_processes]
        total = torch.zeros(2, device=accelerator.device, dtype=torch.float64)
        for start in range(0, len(mine), self.settings.batch):
            batch = source.read(mine[start : start + self.settings.batch], None).to(accelerator.device)
            with accelerator.autocast():
                # Not through DDP: a process may have one batch more than another.
                loss = accelerator.unwrap_model(self.objective)(batch.images, batch.masks)
            total += torch.stack([loss.double() * len(batch.names), torch.tensor(float(len(batch.names)))
                                  .to(total)])  # fmt: skip
        total = accelerator.reduce(total, "sum")
        return float(total[0] / total[1])


def _check(training: BatchSampler, benchmark_dir: Path, settings: Settings, kind: type[Model]) -> None:
    if not training.positive.any():
        what = "change" if training.task == "change" else "footprint"
        raise InputError(f"{benchmark_dir}: the training split has no {what} to learn from.")
    if kind.of_embeddings and not set(training.bands) <= set(encoding.BANDS):
        raise InputError(
            f"{benchmark_dir}: the model takes embeddings, with bands A00 to A63, and these images have "
            f"{training.bands[0]}: docs/embeddings.md says how to get them."
        )
    if kind.context and settings.crop:
        raise InputError("A tile and its neighbourhood cannot both be cropped: remove `crop`.")
    if kind.context and settings.series:
        raise InputError("The model looks at the neighbourhoods of a pair: remove `series`.")
    if kind.sees_series and not settings.series:
        raise InputError("The model looks at whole series: set `series: true`.")
    if kind.classical and settings.series:
        raise InputError("The model is fitted to single dates or pairs: remove `series`.")
    check_series(training)


def _validation(benchmark_dir: Path, task: str, training: BatchSampler, context: bool) -> BatchSampler | None:
    try:
        return BatchSampler(benchmark_dir, task, "val", training.settings, training.scale, context=context)
    except InputError:
        log.warning("no validation split: the last weights are kept")
        return None


def _accelerator(settings: Settings) -> Accelerator:
    # A process may train several models after one another, each with its own precision.
    AcceleratorState._reset_state()
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    return Accelerator(mixed_precision=settings.precision, kwargs_handlers=handlers)


def _live(run: Path, state: Checkpoint) -> Live:
    """A log that begins with what a resumed run has behind it, so that nothing is there twice."""
    live = Live(str(run / "live"), **LIVE)
    for row in state.history:
        _log(live, row)
    return live


def _log(live: Live, row: dict[str, float]) -> None:
    live.step = int(row["step"])
    live.log_metric("loss", row["loss"])
    if row["val_loss"] == row["val_loss"]:
        live.log_metric("val_loss", row["val_loss"])
    live.make_summary()


def _memory(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"


@contextmanager
def _sentences(settings: Settings, training: BatchSampler) -> Iterator[None]:
    """One sentence where memory runs out, or a batch is too small for a model."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(settings, training) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"The model normalises over the items of a batch, and a batch of {settings.batch} is too small "
            "for that: raise batch under train in params.yaml to 2 at least."
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise WorkError(
                f"A process that reads batches ended ({str(error).splitlines()[0]}): give the machine or "
                "container more shared memory (docker run --shm-size), or lower train's threads or batch in "
                "params.yaml."
            ) from error
        if not any(words in str(error) for words in ("out of memory", "allocate memory", "enough memory")):
            raise
        raise _out_of_memory(settings, training) from error


def _out_of_memory(settings: Settings, training: BatchSampler) -> OutOfMemory:
    height, width = (settings.crop or side for side in training.shape)
    lower = "batch, dates, pairs or crop" if settings.series else "batch or crop"
    return OutOfMemory(
        f"Memory ran out with a batch of {settings.batch} items of {height} x {width} pixels: lower {lower} "
        "under train in params.yaml."
    )
