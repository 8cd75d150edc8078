"""The registry's models by how much of a test they take."""

import functools
import re

import pytest
import torch

import models
from models import registry
from models.base import Model
from tests.conftest import ROOT

CHANGE, SEGMENTATION = (
    [name for name in models.names(task) if not registry.class_of(name).of_embeddings]
    for task in ("change", "segmentation")
)
EVERY = [*CHANGE, *SEGMENTATION]
"""Those that take any bands; `tests.models.layers.test_probes` and
`tests.e2e.test_embeddings` have the others."""
DEEP = [name for name in EVERY if not registry.class_of(name).classical]
HEAVY = [
    name
    for name in DEEP
    if name.startswith(("minenetcd-", "upernet-", "mask2former-"))
    or name in ("changeformer", "hcgmnet", "cgnet", "dtcdscn", "pspnet", "deeplabv3plus-resnet101")
    or name in [f"segformer-b{number}" for number in (2, 3, 4, 5)]
]
"""Thirty million parameters and more: `make slow`, but for a small sibling of each family in `make test`."""
SIBLINGS = (
    "minenetcd-resnet18",
    "minenetcd-vmamba-t",
    "upernet-swin-t",
    "mask2former-swin-t",
    "changeformer",
)
LIGHT = [name for name in DEEP if name not in HEAVY]
OPTIONS = {"ddpm-cd": {"width": 32}, "unet": {"width": 16}}
"""What makes a model small enough for a test."""


def marked(names: list[str], quick: list[str] | tuple[str, ...]) -> list[object]:
    """Parameters of a test, of which those that are not `quick` are for `make slow`."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in names]


def by_size(names: list[str]) -> list[object]:
    return marked(names, [*[name for name in names if name not in HEAVY], *SIBLINGS])


def made(name: str, in_channels: int = 3) -> Model:
    return models.create(name, in_channels=in_channels, **OPTIONS.get(name, {}))


def images_for(name: str, count: int, side: int, channels: int = 3) -> list[torch.Tensor]:
    """Return random images (count, channels, side, side), two dates for a change model, else one."""
    dates = 2 if models.task_of(name) == "change" else 1
    return [torch.randn(count, channels, side, side) for _ in range(dates)]


ROW = r"^\| `([\w-]+)` \| ([\d.]+) \| ([\d.]+) \|"
"""Of the tables of models in docs/models.md: name, millions of parameters, billions of multiply-adds."""


@functools.cache
def shown() -> dict[str, tuple[float, float]]:
    """What docs/models.md says of each model: millions of parameters, billions of multiply-adds."""
    rows = re.findall(ROW, (ROOT / "docs/models.md").read_text(), re.MULTILINE)
    return {name: (float(millions), float(gmacs)) for name, millions, gmacs in rows}
