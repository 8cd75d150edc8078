"""Which runs have scores; reading them needs no torch."""

import json
from pathlib import Path
from typing import Any


def scored(benchmark_dir: Path) -> dict[str, dict[str, Any]]:
    """The metrics of every run that was scored, by name; those of a benchmark without labels are none."""
    found = {path.parent.name: path for path in Path(benchmark_dir).glob("runs/*/metrics.json")}
    metrics = {name: json.loads(found[name].read_text()) for name in sorted(found)}
    return {name: own for name, own in metrics.items() if not own.get("unlabelled")}
