"""What is trained, by which optimiser, at which rate."""

import torch

from minebench.errors import InputError
from models.base import Model
from models.training import lora
from models.training.settings import Settings


def choose_parameters(network: Model, mode: str) -> None:
    """Let only what `mode` names be trained. InputError where the model has no such part."""
    if mode == "full":
        return
    if mode == "lora" and network.backbone_parts:
        lora.put_in(network)
        return
    names = network.backbone_parts if mode == "frozen" else network.head_parts
    if not names:
        raise InputError(f"{type(network).__name__} has no part to train or freeze by itself: use mode full.")
    parts = [network.get_submodule(name) for name in names]
    network.requires_grad_(mode == "frozen")
    for part in parts:
        part.requires_grad_(mode == "head")


def freeze_batch_norm(network: Model) -> None:
    """Put what is not trained into eval mode, so that its batch statistics stay as they came."""
    for module in network.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()


def optimiser_of(network: Model, settings: Settings, device: torch.device) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    if settings.optimiser == "sgd":
        rate, decay = settings.learning_rate, settings.weight_decay
        return torch.optim.SGD(trained, rate, momentum=settings.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
    return kind(
        trained,
        settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type in {"cuda", "cpu"},
    )


def schedule_of(
    optimiser: torch.optim.Optimizer, settings: Settings, steps: int, epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate by step, of `steps` in all and `epoch` an epoch: cosine, linear and polynomial end at
    `lowest_rate`; a warm-up comes before."""
    kinds = torch.optim.lr_scheduler
    warmup = min(settings.warmup_steps, steps - 1)
    schedule = _after_warmup(optimiser, settings, steps - warmup, epoch)
    if not warmup:
        return schedule
    growing = kinds.LinearLR(optimiser, 1 / (warmup + 1), 1.0, warmup)
    return kinds.SequentialLR(optimiser, [growing, schedule], [warmup])


def _after_warmup(
    optimiser: torch.optim.Optimizer, settings: Settings, steps: int, epoch: int
) -> torch.optim.lr_scheduler.LRScheduler:
    kinds = torch.optim.lr_scheduler
    lowest = settings.lowest_rate / settings.learning_rate
    match settings.schedule:
        case "cosine":
            return kinds.CosineAnnealingLR(optimiser, steps, settings.lowest_rate)
        case "linear":
            return kinds.LinearLR(optimiser, 1.0, lowest, steps)
        case "polynomial":
            return kinds.LambdaLR(
                optimiser,
                lambda step: lowest + (1 - lowest) * (1 - min(step, steps) / steps) ** settings.power,
            )
        case "step":
            return kinds.StepLR(optimiser, settings.step_epochs * epoch, settings.step_factor)
        case "exponential":
            return kinds.StepLR(optimiser, epoch, settings.step_factor)
    return kinds.ConstantLR(optimiser, 1.0, 1)
