"""Options that several commands share, and what a shell completes of them."""

from pathlib import Path
from typing import Annotated

import typer


def completed_benchmarks(begun: str) -> list[str]:
    """Names that a shell may complete."""
    return sorted(
        p.parent.name for p in Path().glob("catalogs/[!.]*/recipe.yaml") if p.parent.name.startswith(begun)
    )


def _models(begun: str) -> list[str]:
    from models.registry import REGISTRY

    return [name for own in REGISTRY.values() for name in own if name.startswith(begun)]


Name = Annotated[
    str | None,
    typer.Option(
        "--benchmark", "-b", help="Folder under catalogs/; default: the first in params.yaml.",
        autocompletion=completed_benchmarks,
    ),
]  # fmt: skip
Model = Annotated[
    str,
    typer.Option(help="Such as tinycd or unet; `minebench models` lists them.", autocompletion=_models),
]
Fold = Annotated[str | None, typer.Option(help="Split of index/folds, such as kfold/0 or country/DEU.")]
Count = Annotated[
    str | None,
    typer.Option(
        help="ground: where tiles overlap each pixel counts once; tiles: in every tile, as published "
        "protocols do. Default: evaluate.count in params.yaml, else ground."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of sentences.")]
IfLabelled = Annotated[
    bool,
    typer.Option("--if-labelled", help="Where there are no labels, say so and do nothing (`dvc repro`)."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of a Dask scheduler; default: MINEBENCH_SCHEDULER, scheduler in params.yaml, else "
        "threads on this machine."
    ),
]
