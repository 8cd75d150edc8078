"""Reading metrics.json and timing.json of a run: whole, or Damaged. A merge, a cut download or an editor
leaves others than evaluations write."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minebench.errors import Damaged
from models.evaluation.score_names import MEASURED

TEXTS = ("model", "task", "split", "fold")
PARTS = ("aoi", "pixels", "trivial")
NUMBERS = {*MEASURED, "tp", "fp", "fn", "tn", "predicted", "true", "asked", "threshold"}
"""Names whose values are numbers or null, wherever they stand."""


def metrics_of(run: Path) -> dict[str, Any]:
    """Return what metrics.json says. FileNotFoundError where there is none."""
    return _read(run / "metrics.json", _check_metrics)


def timing_of(run: Path) -> dict[str, Any]:
    """Return what timing.json says. FileNotFoundError where there is none."""
    return _read(run / "timing.json", _check_timing)


def is_sound(run: Path) -> bool:
    """Whether both are there and as an evaluation writes them."""
    try:
        return bool(metrics_of(run) and timing_of(run))
    except (Damaged, FileNotFoundError):
        return False


def _read(path: Path, check: Callable[[Any], None]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not content.get("unlabelled"):
            check(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(
            f"{path} is not what an evaluation wrote: remove it, and run `minebench evaluate` or `score` "
            "again."
        ) from None
    return dict(content)


def _check_metrics(metrics: Any) -> None:
    """KeyError or TypeError where something is missing or of another kind."""
    for names, kind in ((TEXTS, str), (PARTS, dict)):
        for name in names:
            _expect(isinstance(metrics[name], kind))
    _expect(isinstance(metrics["threshold"], int | float))
    low, high = metrics["f1_interval"]
    _expect(_is_number(low) and _is_number(high))
    _expect("f1" in metrics["aoi"])
    if external := metrics.get("external"):
        _expect(external["predicted"] >= 0 and external["asked"] > 0)
    _check_numbers(metrics)


def _check_timing(timing: Any) -> None:
    rates = [value for name, value in timing.items() if name.endswith("_per_second")]
    _expect(isinstance(timing["device"], str) and len(rates) == 1 and _is_number(rates[0]))


def _check_numbers(metrics: Mapping[str, Any]) -> None:
    for name, value in metrics.items():
        if isinstance(value, dict):
            _check_numbers(value)
        elif name in NUMBERS:
            _expect(_is_number(value))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _expect(is_so: bool) -> None:
    if not is_so:
        raise TypeError
