"""The stages, each declared once: what it runs, reads and writes, and the code that it may reach.

dvc.yaml is written from this table (`python -m pipeline.stages`), the command line runs from it, and a
test holds the imports of every stage against the folders it names.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CATALOG, DATA = "catalogs/${item.benchmark}", "data/${item.benchmark}"
INDEX, RUN = f"{DATA}/index", f"{DATA}/runs/${{item.model}}"
RECIPE = f"{CATALOG}/recipe.yaml"
CORE = ("minebench",)
BASE = (
    *CORE, "pipeline/core", "pipeline/geo", "pipeline/published", "pipeline/recipe.py", "pipeline/sensors",
    "pipeline/sites", "pipeline/sources", "pipeline/web",
)  # fmt: skip
CUBES = (*BASE, "pipeline/cubes")
SCENES = (*BASE, "pipeline/scenes")
PUBLISHED = (
    *SCENES,
    "pipeline/cubes",
    "models",
    "pipeline/stac",
    "pipeline/index",
    "pipeline/leaderboard",
)


@dataclass(frozen=True)
class Out:
    """An output, of which DVC keeps a copy: a clone gets all of them with `dvc pull`. `persist`: it stays
    while the stage runs, which redoes only what its inputs changed."""

    path: str
    persist: bool = True


@dataclass(frozen=True)
class Stage:
    """A stage. `entry` is module and function; `code` folders and files that it may import from; `reads`
    what it reads; `recipe` the parts of the recipe that it depends on, all of them with `*`; `params` keys
    of params.yaml. A stage of a model runs once for each model of params.yaml; one that `is_whole` looks at
    the benchmark as a whole, and the others work site by site, on how many at a time they are told."""

    name: str
    about: str
    entry: str
    code: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[Out, ...]
    recipe: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()
    of_model: bool = False
    is_whole: bool = False

    def load(self) -> Callable[..., Any]:
        """The function that runs the stage."""
        module, _, name = self.entry.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


STAGES = (
    Stage(
        "sites", "mine list to sites", "pipeline.sites.build:build", BASE,
        reads=(f"{CATALOG}/mines",),
        recipe=("sites", "sensor", "source"),
        writes=(Out(f"{INDEX}/sites.parquet", persist=False),),
        is_whole=True,
    ),
    Stage(
        "archive", "the synthetic archive, where the source is synthetic", "pipeline.synthetic.make:build",
        (*BASE, "pipeline/stac", "pipeline/synthetic"),
        reads=(f"{INDEX}/sites.parquet",),
        recipe=("source", "periods", "sensor", "selection"),
        # Stands for a provider's archive: it can always be made again, so DVC keeps no copy.
        writes=(Out(f"{DATA}/archive"),),
    ),
    Stage(
        "fetch", "scenes found, chosen and kept", "pipeline.scenes.fetch:build",
        SCENES,
        reads=(f"{DATA}/archive", f"{INDEX}/sites.parquet"),
        recipe=("source", "periods", "sensor", "selection"),
        writes=(Out(f"{DATA}/scenes"), Out(f"{INDEX}/scenes.parquet")),
    ),
    Stage(
        "compose", "one image per period, into the cubes", "pipeline.cubes.compose:build",
        (*SCENES, "pipeline/cubes"),
        reads=(f"{INDEX}/scenes.parquet", f"{INDEX}/sites.parquet", f"{DATA}/scenes"),
        recipe=("periods", "sensor", "selection", "source", "tiling.size"),
        # The images go into cubes/, which `annotate` completes and owns; this table says which.
        writes=(Out(f"{INDEX}/composites.parquet"),),
    ),
    Stage(
        "annotate", "dated footprints, into the cubes", "pipeline.cubes.annotate:build", CUBES,
        reads=(f"{CATALOG}/annotations", f"{DATA}/archive", f"{INDEX}/composites.parquet"),
        recipe=("labels", "pairs", "source"),
        writes=(Out(f"{DATA}/cubes"),),
    ),
    Stage(
        "tile", "tiles, pairs and splits as tables, and what they hold", "pipeline.index.tile:build",
        (*CUBES, "pipeline/index"),
        reads=(f"{CATALOG}/mines", f"{DATA}/cubes", f"{INDEX}/sites.parquet"),
        recipe=("tiling", "pairs", "split", "selection", "sensor"),
        writes=tuple(Out(f"{INDEX}/{name}") for name in (
            "tiles.parquet", "tile_periods.parquet", "pairs.parquet", "folds.parquet", "statistics",
            "analysis",
        )),
    ),
    Stage(
        "train", "one model on the training split", "models.training.train:train", (*CORE, "models"),
        reads=(f"{DATA}/cubes", f"{INDEX}/pairs.parquet", f"{INDEX}/tiles.parquet"),
        params=("train.${item.model}",),
        writes=(Out(f"{RUN}/model.pt"), Out(f"{RUN}/run.json")),
        plots=(f"{RUN}/live/plots/metrics",),
        of_model=True,
    ),
    Stage(
        "evaluate", "scores on the test split", "models.evaluation.evaluate:evaluate", (*CORE, "models"),
        reads=(f"{DATA}/cubes", f"{INDEX}/pairs.parquet", f"{INDEX}/tiles.parquet", f"{RUN}/model.pt"),
        params=("evaluate",),
        writes=tuple(Out(f"{RUN}/{name}") for name in (
            "counts.parquet", "curve.csv", "examples.npz", "intervals.csv", "sites.csv", "timing.json",
        )),
        metrics=(f"{RUN}/metrics.json",),
        plots=(f"{RUN}/scores.csv",),
        of_model=True,
    ),
    Stage(
        "compare", "all evaluated models side by side", "pipeline.leaderboard.compare:build",
        (*BASE, "models", "pipeline/leaderboard", "pipeline/scenes"),
        reads=(f"{INDEX}/scenes.parquet", f"{INDEX}/sites.parquet", f"{DATA}/runs"),
        writes=(Out(f"{DATA}/leaderboard", persist=False),),
        is_whole=True,
    ),
    Stage(
        "activity", "how much, where and when each site changed", "pipeline.activity.measure_sites:build",
        (*BASE, "pipeline/activity", "pipeline/stac"),
        reads=(f"{DATA}/cubes", f"{INDEX}/sites.parquet", f"{INDEX}/tiles.parquet"),
        recipe=("periods", "source", "selection"),
        writes=(Out(f"{DATA}/activity"), Out(f"{INDEX}/activity")),
    ),
    Stage(
        "catalog", "the published STAC catalog", "pipeline.stac.root:build", PUBLISHED,
        reads=(f"{DATA}/cubes", f"{INDEX}/pairs.parquet", f"{INDEX}/scenes.parquet", f"{INDEX}/sites.parquet",
               f"{INDEX}/statistics", f"{INDEX}/tiles.parquet", f"{DATA}/leaderboard", f"{DATA}/activity"),
        recipe=("*",),
        writes=(Out(f"{CATALOG}/stac"),),
    ),
    Stage(
        "report", "one HTML page of what was made and how well it can be learnt",
        "pipeline.report.page:build",
        (*PUBLISHED, "pipeline/report"),
        reads=(f"{DATA}/activity", f"{DATA}/cubes", INDEX, f"{DATA}/leaderboard", f"{DATA}/runs"),
        recipe=("*",),
        writes=(Out(f"{DATA}/report", persist=False),),
        is_whole=True,
    ),
)  # fmt: skip
"""In the order of the DAG."""


LOCKS = {"compose": "cubes", "annotate": "cubes"}
"""Stages that write the same files share a lock; all others have one of their own."""


def named(name: str) -> Stage:
    """A stage by its name."""
    return next(stage for stage in STAGES if stage.name == name)


HEAD = """\
# Written by `python -m pipeline.stages`: change pipeline/stages.py, not this file.
# One stage a command, a matrix over `benchmarks` in params.yaml: `dvc repro compose@demo`.
# A stage also depends on its code, so that DVC runs it again when that changes; the stage itself redoes
# only what its inputs, or a version number beside its arithmetic, have changed.
"""


def dvc() -> str:
    """The text of dvc.yaml."""
    stages = {stage.name: _described(stage) for stage in STAGES}
    text = yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)
    return HEAD + text.replace("'${benchmarks}'", '"${benchmarks}"').replace("'${models}'", '"${models}"')


def _described(stage: Stage) -> dict[str, Any]:
    matrix = {"benchmark": "${benchmarks}", **({"model": "${models}"} if stage.of_model else {})}
    model = " --model ${item.model} --if-labelled" if stage.of_model else ""
    recipe = {RECIPE: None if "*" in stage.recipe else list(stage.recipe)}
    params: list[Any] = [*([recipe] if stage.recipe else []), *stage.params]
    described = {
        "desc": stage.about,
        "matrix": matrix,
        "cmd": f"minebench {stage.name} --benchmark ${{item.benchmark}}{model}",
        "deps": sorted([*stage.reads, *stage.code]),
        "params": params,
        "outs": [_out(out) for out in stage.writes],
        "metrics": [_out(Out(path)) for path in stage.metrics],
        "plots": [_out(Out(path)) for path in stage.plots],
    }
    return {key: value for key, value in described.items() if value}


def _out(out: Out) -> Any:
    return {out.path: {"persist": True}} if out.persist else out.path


if __name__ == "__main__":
    Path("dvc.yaml").write_text(dvc(), encoding="utf-8")
    print(json.dumps([stage.name for stage in STAGES]))
