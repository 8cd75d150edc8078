"""Which runs have scores, and whether they are still true; reading them needs no torch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minebench import receipts
from minebench.errors import WorkError
from minebench.files import sha256
from models.evaluation import run_files

WEIGHTS = "weights_sha256"
"""Of the weights that the scores are of."""
EXTERNAL, DATA, RELEASE = "external", "data_key", "scored_on"
"""Of a run that another framework predicted (`minebench score`): what is known of it, the key of the
benchmark's index that it was scored on, and the last release of that time."""


def demand_fresh(benchmark_dir: Path, names: Iterable[str]) -> None:
    """WorkError names the runs whose scores are of other weights than those there now."""
    stale = []
    for name in names:
        folder = Path(benchmark_dir) / "runs" / name
        metrics = run_files.metrics_of(folder)
        if EXTERNAL in metrics:
            continue
        if not (folder / "model.pt").is_file() or metrics.get(WEIGHTS) != sha256(folder / "model.pt"):
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
    """The metrics of every run that was scored on the tiles and labels there are, by name; those of a
    benchmark without labels are none."""
    return _by_standing(benchmark_dir)[0]


def set_apart(benchmark_dir: Path) -> dict[str, dict[str, Any]]:
    """The metrics of submissions that were scored on other tiles or labels than there are now, by name:
    they cannot stand beside the others, nor be scored again by who rebuilds the benchmark."""
    return _by_standing(benchmark_dir)[1]


def _by_standing(benchmark_dir: Path) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the metrics of scored runs by name: of the present tiles and labels, and of others."""
    index = receipts.key_in(Path(benchmark_dir) / "index" / "tiles.parquet")
    current: dict[str, dict[str, Any]] = {}
    apart: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(benchmark_dir).glob("runs/*/metrics.json")):
        metrics = run_files.metrics_of(path.parent)
        if metrics.get("unlabelled"):
            continue
        is_apart = index is not None and EXTERNAL in metrics and metrics[DATA] != index
        (apart if is_apart else current)[path.parent.name] = metrics
    return current, apart
