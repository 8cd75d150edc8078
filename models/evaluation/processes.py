"""Scoring and predicting on several processes: each takes its share, and the sums are the same numbers.

    accelerate launch -m pipeline.cli evaluate --model NAME

Everything that is summed is whole numbers, so no order of adding changes a digit. One process alone needs
none of this, and does not load Accelerate.
"""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


@cache
def _state() -> Any:
    """Accelerate's state; None where there is one process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from accelerate import PartialState

    return PartialState()


def device() -> torch.device:
    """Where this process computes."""
    state = _state()
    if state is not None:
        found: torch.device = state.device
        return found
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_first() -> bool:
    """Whether this process writes and speaks."""
    state = _state()
    return state is None or state.is_main_process


def share(items: Sequence[Item]) -> list[Item]:
    """This process's part: every second, third ... of the items."""
    state = _state()
    return list(items) if state is None else list(items[state.process_index :: state.num_processes])


def add_up(*sums: Tensor) -> None:
    """Make each tensor of whole numbers the sum over all processes."""
    if _state() is not None:
        for held in sums:
            torch.distributed.all_reduce(held)


def gathered(own: Item) -> list[Item]:
    """What each process has, in their order."""
    if _state() is None:
        return [own]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, own)
    return found


def wait() -> None:
    """Until all processes are here."""
    if (state := _state()) is not None:
        state.wait_for_everyone()
