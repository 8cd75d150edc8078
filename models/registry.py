"""Models by name: one dictionary a task, one architecture a file."""

import difflib
from collections.abc import Callable
from typing import Any

from torch import nn

from models.change.fc_siam_diff import FCSiamDiff
from models.errors import InputError
from models.segmentation.unet import UNet

REGISTRY: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "change": {"fc-siam-diff": FCSiamDiff},
    "segmentation": {"unet": UNet},
}


def names(task: str) -> list[str]:
    """Model names of a task, "change" or "segmentation"."""
    return sorted(REGISTRY[task])


def task_of(name: str) -> str:
    """The task of a model; InputError with the nearest names where there is no such model."""
    for task, models in REGISTRY.items():
        if name in models:
            return task
    known = [model for models in REGISTRY.values() for model in models]
    near = difflib.get_close_matches(name, known) or sorted(known)
    raise InputError(f"There is no model '{name}'; did you mean {' or '.join(near)}?")


def create(name: str, *, in_channels: int, **options: Any) -> nn.Module:
    """Build a model. A change model's forward takes two (N, C, H, W) float tensors, a segmentation
    model's one; both return logits (N, 1, H, W). InputError on an unknown name or option."""
    build = REGISTRY[task_of(name)][name]
    try:
        return build(in_channels=in_channels, **options)
    except TypeError as error:
        raise InputError(f"{name} does not take these options ({error}).") from None
