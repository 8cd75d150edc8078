"""Training settings by whose they are. A model's file has those of its authors' repository (RECIPE), and
`recipe:` under `train.<model>` in params.yaml takes another's: euromine, minenet, oms2. Which weights a model
begins with is the model's own, and stays: no such work takes them from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings, and whose they are."""

    whose: str
    settings: Mapping[str, Any]


EUROMINENET = Recipe(
    "EuroMineNet (Yu et al. 2025), for all of its models; the loss is the mean over all pairs of a tile. The "
    "paper does not say how many epochs, nor which augmentation: 50, flips and turns are ours",
    {"optimiser": "adam", "learning_rate": 1e-4, "lowest_rate": 1e-7, "batch": 32, "loss": "cross-entropy",
     "epochs": 50, "series": True},
)  # fmt: skip
FOOTPRINTS = Recipe(
    "EuroMineNet (Yu et al. 2025), for its segmentation models; epochs, flips and turns are ours. The paper "
    'begins "flexible models with backbones" with pretrained ones, and here all do that have one',
    {
        **{key: value for key, value in EUROMINENET.settings.items() if key != "series"},
        "weights": "pretrained",
    },
)
MINENETCD = Recipe(
    "MineNetCD (Yu et al. 2024), section 5.3, for its own models; the paper names no augmentation, and none "
    "is made",
    {"optimiser": "adam", "learning_rate": 1e-4, "lowest_rate": 1e-7, "betas": (0.9, 0.99), "batch": 32,
     "loss": "bce", "epochs": 100, "seed": 8888, "augment": ()},
)  # fmt: skip
UCD = Recipe(
    "MineNetCD's authors, whose form of the network this is (EricYu97/UCD)",
    {"optimiser": "adam", "learning_rate": 1e-4, "schedule": "constant", "batch": 32, "loss": "cross-entropy",
     "epochs": 100, "augment": (), "seed": MINENETCD.settings["seed"]},
)  # fmt: skip
"""Of the networks that have no training of their authors."""
OMS2CD = Recipe(
    "OMS2CD (Dibble 2023), as it trains TinyCD; the patience of 10 is ours",
    {"optimiser": "adamw", "learning_rate": 3e-3, "weight_decay": 9e-3, "schedule": "constant",
     "batch": 16, "loss": "bce", "epochs": 50, "patience": 10,
     "augment": ("flip", "noise", "affine")},
)  # fmt: skip
FC = Recipe(
    "the authors' repository (rcdaudt/fully_convolutional_change_detection), without its class weights, "
    "which are of its dataset's shares",
    {"optimiser": "adam", "learning_rate": 1e-3, "weight_decay": 1e-4, "schedule": "exponential",
     "step_factor": 0.95, "batch": 32, "crop": 96, "loss": "cross-entropy", "epochs": 50},
)  # fmt: skip
"""FC-EF, FC-Siam-diff and FC-Siam-conc."""
FOUNDATION = Recipe(
    "nobody's: a usual one for a new head on a frozen encoder",
    {"optimiser": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2, "batch": 16, "loss": "bce-dice",
     "epochs": 30, "mode": "frozen", "weights": "pretrained"},
)  # fmt: skip
"""Of the models over any vision backbone."""
NOTHING = Recipe("nobody's: nothing but a threshold is learnt", {})
SHARED = {"euromine": EUROMINENET, "minenet": MINENETCD, "oms2": OMS2CD}
"""Alternatives by the word in params.yaml."""
