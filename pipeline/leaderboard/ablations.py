"""What a part of a model brings: runs with it and without it, which differ in nothing else (MineNetCD's
table 3 of ChangeFFT, INSINet's table III).

A part is left out by an option that is `off`: `options: {fft: off}`. All other options, the settings, the
seed, the bands, the split and the fold are the same.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from models import registry
from models.evaluation.score_names import SCORES
from models.run_name import RunName

PARTS = {"fft": "ChangeFFT"}
"""What an option is called, where the model's paper has a name for it."""
SHOWN = ("oa", "precision", "recall", "f1", "iou")
"""The scores of MineNetCD's table; `iou` is its cIoU."""
COLUMNS = ["model", "task", "fold", "split", "option", "value", "with", "without", "parameters_with",
           "parameters_without", *(f"{name}_{end}" for name in SHOWN for end in ("with", "without", "gain")),
           "p"]  # fmt: skip
"""`with` and `without` are runs, `gain` is the difference of their scores, `p` that of `tests`."""
OFF = "off"
Run = tuple[Any, dict[str, Any]]
"""A row of the leaderboard, and all options of its model by name."""


def table(
    board: pd.DataFrame, tests: pd.DataFrame, saved_of: Callable[[str], dict[str, Any]]
) -> pd.DataFrame:
    """Return a row per run and the same run without a part; `saved_of` has what a run's model.pt says."""
    alike: dict[str, list[Run]] = defaultdict(list)
    for row in board.itertuples() if "external" in board else ():
        if not row.external and not RunName.parse(str(row.model)).smoothing:
            saved = saved_of(str(row.run))
            alike[_else(row, saved)].append((row, registry.options(saved["model"], saved["options"])))
    p_of = {frozenset(runs): p for *runs, p in zip(tests["first"], tests["second"], tests.p, strict=True)}
    rows = [
        _row(option, one, other, p_of.get(frozenset((one[0].run, other[0].run)), float("nan")))
        for runs in alike.values()
        for option, one, other in _pairs(runs)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(
        ["option", "model", "value", "with", "without"], ignore_index=True
    )


def _else(row: Any, saved: dict[str, Any]) -> str:
    """What two runs have in common, but for the model's options."""
    settings = {name: value for name, value in saved["settings"].items() if name != "options"}
    return json.dumps([saved["model"], row.task, row.fold, row.split, saved["bands"], settings], default=str)


def _pairs(runs: list[Run]) -> Iterator[tuple[str, Run, Run]]:
    """The option that is off in the second run and not in the first, where all others agree."""
    for one in runs:
        for other in runs:
            differing = [name for name, value in one[1].items() if other[1][name] != value]
            if len(differing) == 1 and other[1][differing[0]] == OFF:
                yield differing[0], one, other


def _row(option: str, one: Run, other: Run, p: float) -> dict[str, Any]:
    first, second = one[0], other[0]
    shown = {
        f"{name}_{end}": value
        for name in SHOWN
        for end, value in (
            ("with", getattr(first, name)), ("without", getattr(second, name)),
            ("gain", getattr(first, name) - getattr(second, name)),
        )
    }  # fmt: skip
    return {
        "model": RunName.parse(first.model).model, "task": first.task, "fold": first.fold,
        "split": first.split, "option": option, "value": one[1][option],
        "with": first.run, "without": second.run,
        "parameters_with": first.parameters, "parameters_without": second.parameters, **shown, "p": p,
    }  # fmt: skip


def heads() -> dict[str, str]:
    """The scores' names as heads of columns."""
    return {name: SCORES[name].head for name in SHOWN}
