"""The commands of one model: `train`, `evaluate`, `predict` and `explain`."""

from dataclasses import replace
from json import loads as parsed
from pathlib import Path
from typing import Annotated, Any

import typer

from minebench.errors import InputError
from minebench.text import score
from pipeline.cli import command
from pipeline.cli.options import Count, Fold, IfLabelled, Json, Model, Name, Scheduler


def train(
    model: Model,
    benchmark: Name = None,
    fold: Fold = None,
    sites: Annotated[
        int | None,
        typer.Option(help="Learn from so many labelled sites alone, as the run MODEL@sites-N.", min=1),
    ] = None,
    if_labelled: IfLabelled = False,
) -> None:
    """Train a model on the training split, or on a fold's; MODEL-hmm smooths a footprint model over time."""
    from models.run_name import RunName
    from models.training import unlabelled
    from models.training.settings import given_for
    from pipeline import params, running

    if sites is not None:
        model = str(replace(RunName.parse(model), sites=sites))
    where, loaded = command.begin(f"train-{model}", benchmark)
    if if_labelled and unlabelled.is_unlabelled(where.data):
        unlabelled.leave_run(where.run(model))
        print(f"train: {where.name} has no labels: there is nothing to learn")
        return
    given = given_for(str(RunName.parse(model).trained), params.load().train)
    weights = running.train(where, loaded, model, {**given, **({"fold": fold} if fold else {})})
    print(f"train: {weights}")


def evaluate(
    model: Model,
    benchmark: Name = None,
    fold: Fold = None,
    threshold: Annotated[
        str | None,
        typer.Option(help="Probability, or validation for the best one on the validation split; 0.5 else."),
    ] = None,
    analysis: Annotated[
        str | None, typer.Option(help="Score an analysis set by level instead, such as scale.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="A published checkpoint to score as it is, as the run --model NAME@LABEL."),
    ] = None,
    normalise: Annotated[
        str | None, typer.Option(help="What it was trained to see: imagenet, or MEAN,STD of pixels in 0..1.")
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            help='Form of the network that the checkpoint is of, as {"head_width": 8}; default: the options '
            "under train.NAME@LABEL in params.yaml."
        ),
    ] = None,
    count: Count = None,
    if_labelled: IfLabelled = False,
    json: Json = False,
) -> None:
    """Score a trained model on the test split, or on a fold's."""
    from models.training import unlabelled
    from pipeline import params

    where, recipe = command.begin(f"evaluate-{model}", benchmark)
    if (weights is None) != (normalise is None):
        raise InputError("--weights and --normalise go together.")
    if options is not None and weights is None:
        raise InputError("--options goes with --weights: what was trained here has its options.")
    if weights and normalise:
        from models.evaluation.adopt import adopt

        loaded = adopt(where.data, model, weights, normalise, _options(options, model), recipe.profile.name)
        if not json:
            print(f"evaluate: {loaded}")
    if if_labelled and unlabelled.is_unlabelled(where.data):
        unlabelled.leave_scores(where.run(model))
        print(f"evaluate: {where.name} has no labels: there is nothing to score")
        return
    asked = params.load().evaluate
    given = asked.threshold if threshold is None else threshold
    if analysis:
        from minebench import tables
        from models.evaluation.analysis_scores import analyse

        table = analyse(where.data, model, analysis, fold, given)
        if json:
            command.as_json(
                {"benchmark": where.name, "analysis": analysis, "levels": table.to_dict("records")}
            )
            return
        levels = ", ".join(f"{row.level} {score(row.f1)}" for row in tables.each(table))
        print(f"evaluate: {model} F1 on {analysis}: {levels}")
        if table.attrs["regions"] == 1:
            print("evaluate: this set is of a single region, and says little: it takes more test sites")
        return
    from models.evaluation.evaluate import evaluate as run

    result = run(where.data, model, fold=fold, threshold=given, count=count or asked.count)
    if json:
        command.as_json({"benchmark": where.name, **result})
        return
    trivial = ", ".join(f"{name} {score(scores['f1'])}" for name, scores in result["trivial"].items())
    print(f"evaluate: {model} F1 {score(result['f1'])}; trivial: {trivial}")


def _options(given: str | None, model: str) -> dict[str, Any]:
    """Return a checkpoint's options: those that were given as JSON, and else the run's own in params.yaml."""
    from pipeline import params

    if given is None:
        own = params.load().train.get(model) or {}
        return dict(own.get("options") or {})
    try:
        options = parsed(given)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        example = '{"head_width": 8}'
        raise InputError(f"--options {given}: give names and values as JSON, such as '{example}'.")
    return options


def predict(
    model: Model,
    benchmark: Name = None,
    fold: Fold = None,
    split: Annotated[str, typer.Option(help="Sites of this split, or all.")] = "test",
    pairs: Annotated[
        str, typer.Option(help="consecutive, first_last or all pairs of dates.")
    ] = "consecutive",
    mines: Annotated[
        Path | None,
        typer.Option(
            help="Apply it to the sites of another mine list, without labels, as a benchmark of its own."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What that is called; default: the benchmark's name and the list's.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="First period of --mines, such as the newest year to be added.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last period of --mines.")] = None,
    scheduler: Scheduler = None,
) -> None:
    """Apply a trained model to whole sites: COGs and STAC items; with --mines to new ones."""
    from pipeline.inference import predict as stage

    if mines is not None:
        from pipeline.cli import region as regions

        if split != "test" or pairs != "consecutive":
            raise InputError("--split and --pairs do not go with --mines: all sites, and dates in order.")
        where, loaded = command.begin(f"predict-{model}", benchmark)
        region, done, page = regions.apply(where, loaded, mines, model, fold, name, since, until, scheduler)
        command.made("predict", "predicted", done)
        print(f"  in {region.data}; the biggest changes: {page}")
        return
    if name or since or until or scheduler:
        raise InputError("--name, --since, --until and --scheduler go with --mines.")
    where, loaded = command.begin(f"predict-{model}", benchmark)
    folder, done = stage.build(where, loaded, model, split, pairs, fold)
    command.made("predict", "predicted", done)
    print(f"  in {folder}")


def explain(model: Model, benchmark: Name = None, fold: Fold = None) -> None:
    """Show what a model's decisions come from: GradCAM, hits and misses, curves."""
    from pipeline.inference import explain as stage

    where, loaded = command.begin(f"explain-{model}", benchmark)
    print(f"explain: {stage.build(where, loaded, model, fold)}")
