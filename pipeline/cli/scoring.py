"""The command `score`."""

from pathlib import Path
from typing import Annotated

import typer

from minebench import text
from minebench.errors import InputError
from pipeline.cli import command
from pipeline.cli.options import Count, Json, Name


def score(
    folder: Annotated[Path | None, typer.Argument(help="Folder of predictions.")] = None,
    name: Annotated[str | None, typer.Option(help="What they are called beside other runs.")] = None,
    benchmark: Name = None,
    template: Annotated[
        Path | None,
        typer.Option(help="Write what is expected and an empty submission into this folder, and end."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="change or segmentation; default: by the names of the files.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split that was predicted.")] = "test",
    threshold: Annotated[
        float, typer.Option(help="Probability above which a pixel counts as predicted.")
    ] = 0.5,
    partial: Annotated[
        bool, typer.Option("--partial", help="Score what is there, and say so everywhere.")
    ] = False,
    count: Count = None,
    json: Json = False,
) -> None:
    """Score predictions of any other framework on the test split."""
    from pipeline import params
    from pipeline.scoring import score as judge
    from pipeline.scoring import template as empty

    if name is not None:
        judge.check_name(name)
    where, loaded = command.begin(f"score-{name}" if name else "score", benchmark)
    if template is not None:
        chosen = judge.expected_of(where, loaded, split, task or "change")
        made = empty.write(chosen[task or "change"], template)
        print(f"score: {text.counted(made, 'empty map')} and expected.csv in {template}")
        command.UNDER_WAY.clear()  # what comes next is not here
        return
    if folder is None or name is None:
        raise InputError("Name a folder and what to call it: `minebench score FOLDER --name NAME`.")
    given = count or params.load().evaluate.count
    result = judge.build(where, loaded, folder, name, split, task, threshold, partial, given)
    if json:
        command.as_json({"benchmark": where.name, **result})
        return
    external = result["external"]
    part = f"; partial: {external['predicted']:,} of {external['asked']:,} maps"
    share = part if external["predicted"] < external["asked"] else ""
    print(f"score: {name} ({result['task']}) F1 {text.score(result['f1'])}{share}")
    if judge.NOT_WRITTEN in result:
        print(f"  {where.data} can only be read: no run was written, and the leaderboard does not have it")
        command.UNDER_WAY.clear()
