"""Checkpoints in the layout of published code, and what that code makes of them.

`layouts.json.xz` holds for each model the names and shapes of the tensors in a checkpoint of its published
code, and 32 of the logits which that code itself gave, with the weights that `checkpoint` makes of those
names and the pictures of `images`, in evaluation and in training mode (no dropout). It was written beside
the published repositories, outside this one: names and numbers, none of their code.

The published code computed in float32, and `checkpoint` draws float32. `rounding` says how far that is from
our networks in float64, as a share of the largest logit: the larger one of ATen's plain and AVX-512 code,
whose normal numbers differ in the last bits. In float64 the order of sums, and so the processor, does not
matter, and what is left of a difference is the same everywhere.
"""

import json
import lzma
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYOUTS = Path(__file__).with_name("layouts.json.xz")
KEPT = 32
RATES = ("p", "drop_prob", "dropped", "attention_dropout", "attention_probs_dropout_prob")
"""Names under which modules keep how often they leave something out."""


def layouts() -> dict[str, dict[str, Any]]:
    """Return what is known by a model's name: `source`, `options`, `tensors`, `dates`, `side`, the logits
    `eval` and `train`, and `rounding`. Under "timm/" and an encoder's name: `source`, `tensors`."""
    return json.loads(lzma.decompress(LAYOUTS.read_bytes()))


def checkpoint(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights that depend on their names and shapes alone, of a size at which activations stay moderate."""
    return {name: _tensor(name, shape) for name, shape in shapes.items()}


def _tensor(name: str, shape: list[int]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return 0.5 + torch.rand(shape, generator=generator)
    drawn = torch.randn(shape, generator=generator)
    if math.prod(shape[1:]) > 1 and shape[0] > 1:
        return drawn / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.1 * drawn if name.endswith(("weight", "gamma", "Ds")) else 0.1 * drawn


DRAWING = {
    drawing
    for place, names in (
        (nn.init, ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_",
                   "xavier_normal_", "xavier_uniform_")),
        (Tensor, ("normal_", "uniform_")),
    )
    for drawing in (getattr(place, name) for name in names)
}  # fmt: skip


class Undrawn(TorchFunctionMode):
    """Makes networks without drawing their first weights, which a checkpoint replaces."""

    def __torch_function__(
        self, called: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if called in DRAWING:
            return args[0] if args else (kwargs or {})["tensor"]
        return called(*args, **(kwargs or {}))


def images(dates: int, side: int) -> list[Tensor]:
    """Pictures (2, 3, side, side) of each date, the later ones brighter."""
    generator = torch.Generator().manual_seed(side)
    return [
        torch.randn(2, 3, side, side, generator=generator) * (1 + 0.5 * n) + 0.3 * n for n in range(dates)
    ]


def still(network: nn.Module) -> None:
    """Leave nothing out in training."""
    for module in network.modules():
        for rate in RATES:
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)


def sample(logits: Tensor) -> Tensor:
    """Return KEPT of the logits, evenly spread over them."""
    flat = logits.detach().flatten()
    return flat[torch.linspace(0, len(flat) - 1, KEPT).round().long()]


def each_error(network: nn.Module, layout: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield each mode and how far a network in float64 is from the published logits in it, as a share of
    the difference that rounding explains (`rounding`)."""
    before = [buffer.clone() for buffer in network.buffers()]
    for mode, rounding in layout["rounding"].items():
        for buffer, value in zip(network.buffers(), before, strict=True):
            buffer.copy_(value)  # training mode moves the statistics of batch norm
        getattr(network, mode)()
        with torch.no_grad():
            pictures = [image.double() for image in images(layout["dates"], layout["side"])]
            logits = sample(network(*pictures))
        known = torch.tensor(layout[mode], dtype=torch.float64)
        yield mode, float((logits - known).abs().max() / known.abs().max()) / rounding
