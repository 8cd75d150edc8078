"""The command `doctor`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import command
from pipeline.cli.options import Json, completed_benchmarks


def _catalogues(prefix: str) -> list[str]:
    from pipeline.doctor.known_catalogues import CATALOGUES

    return [name for name in CATALOGUES if name.startswith(prefix)]


def doctor(
    source: Annotated[
        str | None,
        typer.Option(
            help="A catalogue, such as earth-search. Without options all catalogues are listed.",
            autocompletion=_catalogues,
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark", "-b", help="A benchmark: its own sources are checked at its first site.",
            autocompletion=completed_benchmarks,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also run the checks that take many requests or several minutes.")
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Check that a catalogue works from here as documented, in two minutes; print a table for a report."""
    from minebench.errors import InputError
    from pipeline.doctor import lines, printed, visits
    from pipeline.doctor.examine import examine, is_well
    from pipeline.doctor.known_catalogues import CATALOGUES, named

    if source and benchmark:
        raise InputError("Name a catalogue with --source or a benchmark with --benchmark, not both.")
    if not source and not benchmark:
        _list({name: one.about for name, one in CATALOGUES.items()}, json)
        return
    with tempfile.TemporaryDirectory(prefix="minebench-doctor-") as folder:
        if benchmark:
            planned = visits.of_benchmark(*command.begin("doctor", benchmark), Path(folder))
        else:
            planned = [visits.of_catalogue(named(str(source)), Path(folder))]
        report = [(visit, examine(visit, lines.of(visit), everything)) for visit in planned]
    if json:
        command.as_json(printed.as_object(report))
    else:
        print(printed.markdown(report))
    if not all(is_well(rows) for _, rows in report):
        raise typer.Exit(1)


def _list(catalogues: dict[str, str], json: bool) -> None:
    """Print the known catalogues."""
    if json:
        command.as_json({"catalogues": catalogues})
        return
    width = max(map(len, catalogues)) + 2
    for name, about in catalogues.items():
        print(f"{name:{width}}{about}")
