"""The command `doctor`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline import command
from pipeline.options import Json, completed_benchmarks


def _catalogues(begun: str) -> list[str]:
    from pipeline.doctor.known_catalogues import CATALOGUES

    return [name for name in CATALOGUES if name.startswith(begun)]


def doctor(
    source: Annotated[
        str | None,
        typer.Option(
            help="A catalogue, such as earth-search; if left out, all are listed.",
            autocompletion=_catalogues,
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark", "-b", help="A benchmark, whose own source is asked for its first site.",
            autocompletion=completed_benchmarks,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also make the checks that take many requests or minutes.")
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Ask a catalogue what its docs promise, in two minutes, and print a table to paste into a report."""
    from pipeline.core.errors import InputError
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
    """Name what may be asked."""
    if json:
        command.as_json({"catalogues": catalogues})
        return
    width = max(map(len, catalogues)) + 2
    for name, about in catalogues.items():
        print(f"{name:{width}}{about}")
