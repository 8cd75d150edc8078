"""A trained run applied to new sites without labels: `minebench predict --mines LIST`.

    catalogs/<region>/      the list, and the benchmark's recipe without labels
    data/<region>/          sites, scenes, cubes, predictions/<run>, activity, monitor/index.html

The region is a benchmark of its own, and every stage redoes only what is new: `--since 2025`, a year later,
adds that year to it.
"""

import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from minebench import periods, receipts
from minebench.errors import InputError, NotMadeYet
from minebench.files import replacing, sha256, write_json
from minebench.layout import BenchmarkPaths
from models.training.checkpoint import run_folder
from pipeline import recipe, stages
from pipeline.activity import measure_sites
from pipeline.cli import command, new
from pipeline.inference import largest_changes, predict
from pipeline.recipe import Every, Recipe
from pipeline.sites import published

MADE = ("sites", "archive", "fetch", "compose", "annotate", "tile")


def apply(
    source: BenchmarkPaths, loaded: Recipe, mines: Path, model: str, fold: str | None, name: str | None,
    since: str | None, until: str | None, scheduler: str | None,
) -> tuple[BenchmarkPaths, int, Path]:  # fmt: skip
    """Make the region, or bring it up to date; returns it, how many sites were predicted anew, and the page
    of the biggest changes. NotMadeYet where the run is not trained, InputError where list, name or periods
    do not fit."""
    run = run_folder(source.data, model, fold)
    if not (run / "model.pt").is_file():
        raise NotMadeYet(f"{run / 'model.pt'} is missing: train {model} first.")
    region = BenchmarkPaths(name or f"{source.name}-{mines.stem.lower()}", source.root)
    _prepare(source, region, mines, _wanted(loaded, since, until))
    for stage in MADE:
        where, own = command.begin(stage, region.name)
        given: list[Any] = [] if stage == "sites" else [command.spread(scheduler)]
        stages.named(stage).load()(where, own, *given)
    where, own = command.begin(f"predict-{model}", region.name)
    _take_run(run, region.run(run.name))
    _, done = predict.build(where, own, model, "all", "consecutive", fold)
    where, own = command.begin("activity", region.name)
    measure_sites.build(where, own, command.spread(scheduler))
    return region, done, largest_changes.write(region, own, run.name)


def _wanted(loaded: Recipe, since: str | None, until: str | None) -> list[str]:
    """Labels of the periods that are asked for; of the recipe's where nothing was said."""
    known = [period.label for period in loaded.periods.periods()]
    if since is None and until is None:
        return known
    if not isinstance(loaded.periods, Every):
        raise InputError("--since and --until take a recipe whose periods are {unit, start, end}.")
    first = since or known[0]
    try:
        last = until or max(known[-1], first)
        return [period.label for period in periods.every(loaded.periods.unit, first, last)]
    except ValueError as error:
        raise InputError(f"--since {first}, --until {until or 'nothing'}: {error}.") from None


def _prepare(source: BenchmarkPaths, region: BenchmarkPaths, mines: Path, wanted: list[str]) -> None:
    """The region's list and recipe. InputError where its name is another benchmark's, or of another list."""
    if region.folder.exists():
        if receipts.read(region.folder / RECEIPT).get("of") != source.name:
            raise InputError(f"{region.folder} is a benchmark of its own: give the region another --name.")
        if not _is_its_list(region, mines):
            raise InputError(
                f"{region.folder} is of another list than {mines}: give the region another --name."
            )
        wanted = sorted({*(own.label for own in recipe.load(region.recipe).periods.periods()), *wanted})
    if len(wanted) < 2:
        raise InputError(f"{wanted[0]} alone shows no change: give --since an earlier period.")
    if region.folder.exists():
        _adapt(region, source, wanted)
        return
    asked = new.Wanted(region.name, str(mines), like=source.name)
    new.scaffold(asked, source.root, lambda draft: _adapt(draft, source, wanted))


RECEIPT = "region.json"


def _is_its_list(region: BenchmarkPaths, mines: Path) -> bool:
    """Whether a region was made of this file, or of this published list."""
    kept = region.mines / mines.name
    if not mines.is_file():
        return str(mines) in published.LISTS and recipe.load(region.recipe).sites.mines == str(mines)
    return kept.is_file() and sha256(mines) == sha256(kept)


def _adapt(region: BenchmarkPaths, source: BenchmarkPaths, wanted: list[str]) -> None:
    """Of whom it is; no labels, nothing to train on, and the dates that are wanted."""
    held = [own.label for own in recipe.load(region.recipe).periods.periods()]
    yaml = YAML()
    yaml.width = 4096
    content = yaml.load(region.recipe.read_text(encoding="utf-8"))
    content["labels"] = {"source": "none"}
    content["split"] = {"train": 0, "val": 0, "test": 1}
    if wanted != held:
        content["periods"] = {"dates": wanted}
    with replacing(region.recipe) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    write_json({"of": source.name}, region.folder / RECEIPT)


def _take_run(run: Path, target: Path) -> None:
    """The trained run, with the threshold that it was scored with; its scores are of other sites."""
    told, metrics = receipts.read(run / "run.json"), receipts.read(run / "metrics.json")
    if not (target / "model.pt").is_file() or sha256(run / "model.pt") != sha256(target / "model.pt"):
        with replacing(target / "model.pt") as temporary:
            shutil.copyfile(run / "model.pt", temporary)
    write_json({**told, "threshold": metrics.get("threshold", 0.5)}, target / "run.json")
