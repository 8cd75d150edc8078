"""Which runs have scores, and whether they are still true; reading them needs no torch."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.core import receipts
from pipeline.core.errors import WorkError
from pipeline.core.files import sha256

WEIGHTS = "weights_sha256"
"""Of the weights that the scores are of."""
EXTERNAL, DATA = "external", "data_key"
"""Of a run that another framework predicted (`minebench score`): what is known of it, and the key of the
benchmark's index that it was scored on."""


def demand_fresh(benchmark_dir: Path, names: Iterable[str]) -> None:
    """WorkError names the runs whose scores are of other weights, or of another index, than those there
    now."""
    stale = []
    index = receipts.key_in(Path(benchmark_dir) / "index" / "tiles.parquet")
    for name in names:
        folder = Path(benchmark_dir) / "runs" / name
        metrics = json.loads((folder / "metrics.json").read_text())
        if EXTERNAL in metrics:
            if index is not None and metrics[DATA] != index:
                raise WorkError(
                    f"{benchmark_dir}: the scores of {name} are of other tiles or labels than there are now: "
                    f"run `minebench score` on its predictions again, or remove {folder}."
                )
        elif not (folder / "model.pt").is_file() or metrics.get(WEIGHTS) != sha256(folder / "model.pt"):
            stale.append(name)
        elif smooths := receipts.read(folder / "run.json").get("smooths"):
            other = folder.parent / smooths["run"] / "model.pt"
            if other.is_file() and sha256(other) != smooths[WEIGHTS]:
                raise WorkError(
                    f"{benchmark_dir}: {name} smooths other weights than {other} holds: run `minebench train "
                    f"--benchmark {Path(benchmark_dir).name} --model {name}` and `evaluate` again."
                )
    if stale:
        raise WorkError(
            f"{benchmark_dir}: the scores of {', '.join(stale)} are of other weights than model.pt holds: "
            f"run `minebench evaluate --benchmark {Path(benchmark_dir).name} --model {stale[0]}` again."
        )


def scored(benchmark_dir: Path) -> dict[str, dict[str, Any]]:
    """The metrics of every run that was scored, by name; those of a benchmark without labels are none."""
    found = {path.parent.name: path for path in Path(benchmark_dir).glob("runs/*/metrics.json")}
    metrics = {name: json.loads(found[name].read_text()) for name in sorted(found)}
    return {name: own for name, own in metrics.items() if not own.get("unlabelled")}
