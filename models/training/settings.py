"""How a model is trained. Its file's RECIPE holds its authors' settings; `params.yaml` changes them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from minebench.errors import InputError, UnknownName
from models import registry
from models.run_name import RunName

WORDS = {
    "optimiser": ("adam", "adamw", "sgd"),
    "schedule": ("cosine", "step", "exponential", "linear", "polynomial", "constant"),
    "loss": ("bce", "cross-entropy", "bce-dice", "bce-dice-both", "focal"),
    "mode": ("full", "frozen", "lora", "head"),
    "precision": ("no", "bf16", "fp16"),
}
TYPES = {
    int: "a whole number", float: "a number", str: "a word", bool: "true or false",
    tuple[float, float]: "two numbers", tuple[str, ...]: "a list of words", dict[str, Any]: "options by name",
}  # fmt: skip
AUGMENTATIONS = (
    "flip", "turn", "swap", "affine", "rotate", "scale-crop", "noise", "jitter", "brightness", "blur",
    "drop-band",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How to train. Sizes are per process; `options` go to the model itself."""

    recipe: str | None = None
    """Whose settings: nothing for the model's authors', or euromine, minenet, oms2."""
    epochs: int = 50
    """Passes over the training split; what one takes is `batch` items a step."""
    steps: int | None = None
    """Steps in all, in place of `epochs`."""
    batch: int = 16
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    lowest_rate: float = 0.0
    """Where the cosine, linear and polynomial schedules end."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str = "cosine"
    step_epochs: int = 8
    """The step schedule multiplies the rate by `step_factor` after so many epochs."""
    step_factor: float = 0.5
    """The exponential schedule multiplies by it after each epoch."""
    power: float = 0.9
    """Of the polynomial schedule."""
    warmup_steps: int = 0
    """Steps in which the rate grows evenly to the first of the schedule."""
    clip: float | None = None
    """Largest norm of all gradients together; longer ones are shortened to it."""
    loss: str = "bce"
    """bce and cross-entropy are one loss for one logit: the cross-entropy of two classes whose logits
    differ by it. bce-dice adds the Dice loss of the positive class, bce-dice-both that of both classes."""
    positive_weight: float = 1.0
    """Weight of a positive pixel in the cross-entropy."""
    changed_share: float = 0.0
    """Least share of a batch that is drawn from pairs (or tiles) with positives; 0 draws from all."""
    balance_intervals: bool = False
    """Draw every interval between dates equally often."""
    series: bool = False
    """An item is a tile's whole series: the loss is the mean over its dates, or over its pairs, and a
    Siamese encoder sees each date once."""
    dates: int | None = None
    """Of a series so many dates at random, in order; all without it."""
    pairs: int | None = None
    """Of a series so many pairs at random; all without it."""
    crop: int | None = None
    """Side of a random crop, pixels; whole tiles without it."""
    augment: tuple[str, ...] = ("flip", "turn")
    validate_every: int | None = None
    """Steps between validations; an epoch without it."""
    validation_items: int | None = None
    """Items of the validation split that are looked at, spread evenly; all without it."""
    patience: int | None = None
    """Validations without a lower loss after which training stops."""
    mode: str = "full"
    """full trains everything, frozen all but the backbone, lora low-rank adapters in the backbone and all
    outside of it, head the last layers alone."""
    weights: str | None = None
    """Where the backbone (or all) begins: nothing, "pretrained" for the model's own from the Hugging
    Face hub, another name there, or a local file or folder."""
    precision: str = "no"
    channels_last: bool = False
    compile: bool = False
    threads: int = 2
    """Threads that read batches, or processes where a GPU is fed."""
    cache_gb: float = 0.0
    """Decoded tiles are kept in a memory-mapped file where a split takes no more than this."""
    seed: int = 0
    fold: str | None = None
    """Another split by site, "kfold/0" or "country/DEU"; see `minebench.data.open`."""
    sites: int | None = None
    """Labelled sites of the training split that are learnt from, drawn by the seed: fewer are among more."""
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any], model: str) -> "Settings":
        """The model's recipe with what `given` changes. InputError names an unknown or wrong setting."""
        check(given, model)
        whose = given.get("recipe")
        recipe = registry.recipe(model, None if whose is None else str(whose)).settings
        # A number of steps stands in place of the recipe's epochs, and the other way round.
        settings = cls(**{key: _typed(cls, key, value, model) for key, value in {**recipe, **given}.items()})
        _check(settings, model)
        _check_idle(settings, given, model)
        return settings


def check(given: Mapping[str, Any], model: str) -> None:
    """InputError names an unknown or wrong setting. Whether it goes together with the model's recipe is not
    known here: `Settings.of` says."""
    known = {f.name for f in fields(Settings)}
    if unknown := sorted(set(map(str, given)) - known):
        raise UnknownName(
            f"params.yaml: train.{model} has no setting '{unknown[0]}'; known: {', '.join(sorted(known))}."
        )
    _check(Settings(**{key: _typed(Settings, key, value, model) for key, value in given.items()}), model)


def given_for(run: str, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `train` in params.yaml says for a run: under its own name, such as `bit@levir`, and else
    under its model's."""
    return dict((train[run] if run in train else train.get(RunName.parse(run).model)) or {})


IDLE: dict[str, tuple[str, tuple[object, ...]]] = {
    "momentum": ("optimiser", ("sgd",)),
    "betas": ("optimiser", ("adam", "adamw")),
    "step_epochs": ("schedule", ("step",)),
    "step_factor": ("schedule", ("step", "exponential")),
    "power": ("schedule", ("polynomial",)),
    "lowest_rate": ("schedule", ("cosine", "linear", "polynomial")),
    "dates": ("series", (True,)),
    "pairs": ("series", (True,)),
}
"""Settings that do something with some values of another alone."""


def _check_idle(settings: Settings, given: Mapping[str, Any], model: str) -> None:
    """InputError names a setting that was given and does nothing."""
    for key, (other, values) in IDLE.items():
        if given.get(key) is not None and getattr(settings, other) not in values:
            words = " or ".join(str(value).lower() if value is True else str(value) for value in values)
            raise InputError(
                f"params.yaml: train.{model}.{key} does nothing with {other} {getattr(settings, other)}: "
                f"remove it, or set {other} to {words}."
            )
    matched = hasattr(registry.class_of(model), "matched_loss")
    if idle := [key for key in ("loss", "positive_weight") if matched and key in given]:
        raise InputError(
            f"params.yaml: train.{model}.{idle[0]} does nothing, because {model} has a loss of its own: "
            "remove it."
        )


def _typed(cls: type, key: str, value: Any, model: str) -> Any:
    """Return a setting as its type; lists from YAML become tuples. InputError where it is of another."""
    kind = get_type_hints(cls)[key]
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    expected = kinds[0]
    value = tuple(value) if isinstance(value, list) else value
    if not _fits(value, expected):
        raise InputError(f"params.yaml: train.{model}.{key} is {value!r}; it is {TYPES[expected]}.")
    return float(value) if expected is float else value


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type. YAML's whole numbers are numbers too; its true and false are none."""
    members = get_args(kind)
    if get_origin(kind) is tuple:
        parts = value if isinstance(value, tuple) else (None,)
        as_many = Ellipsis in members or len(parts) == len(members)
        return as_many and all(_fits(part, members[0]) for part in parts)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, get_origin(kind) or kind) and not (kind is int and isinstance(value, bool))


def _check(settings: Settings, model: str) -> None:
    for key, words in WORDS.items():
        if getattr(settings, key) not in words:
            raise InputError(
                f"params.yaml: train.{model}.{key} is '{getattr(settings, key)}'; "
                f"choose one of {', '.join(words)}."
            )
    if unknown := [word for word in settings.augment if word not in AUGMENTATIONS]:
        raise InputError(
            f"params.yaml: train.{model}.augment has no '{unknown[0]}'; known: {', '.join(AUGMENTATIONS)}."
        )
    for key in ("epochs", "steps", "batch", "crop", "validate_every", "validation_items", "threads", "sites"):
        value = getattr(settings, key)
        if value is not None and value < 1:
            raise InputError(f"params.yaml: train.{model}.{key} is {value}; it is at least 1.")
    if settings.dates is not None and settings.dates < 2:
        raise InputError(f"params.yaml: train.{model}.dates is {settings.dates}; a pair takes 2.")
