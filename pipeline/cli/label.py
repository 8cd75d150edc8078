"""The commands `label` and `agree`."""

from typing import Annotated

import typer

from minebench.text import counted
from pipeline.cli import command
from pipeline.cli.options import Json, Name


def label(
    benchmark: Name = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="A trained run whose predictions are offered; may be given several times."
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="An annotator's own labels, in annotations/layers/NAME, for `agree`; annotate reads none."
        ),
    ] = None,
    qgis: Annotated[bool, typer.Option("--qgis", help="Write a QGIS project to draw in, and end.")] = False,
    port: Annotated[int, typer.Option(help="Port on this machine.", min=0, max=65535)] = 8010,
) -> None:
    """Label the sites' dates in a browser on this machine, or in QGIS."""
    from pipeline.label import agreement, predicted, studio
    from pipeline.publish import browse

    where, loaded = command.begin("label", benchmark)
    if qgis:
        from pipeline.label import label_project

        print(f"label: {label_project.write(where, loaded)}")
        return
    predicted.check(where, runs or [])
    folder = agreement.folder(where, layer) if layer is not None else where.annotations
    desk = studio.Studio(where, loaded, runs or [], folder)
    with browse.listening(port) as own:
        secret = studio.token()
        print(f"label: http://127.0.0.1:{own.getsockname()[1]}/{secret}/ (Ctrl-C ends it)", flush=True)
        if loaded.labels.source != "annotations":
            print(
                f"  labels.source is {loaded.labels.source}: set it to annotations for `minebench annotate`"
            )
        studio.serve(desk, own, secret)


def agree(
    benchmark: Name = None,
    consensus: Annotated[
        str | None,
        typer.Option(
            help="Also write the sites' annotations: majority, or the annotator whose layer counts."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare annotators who labelled the same dates."""
    from pipeline.index import annotators
    from pipeline.label import agreement

    where, loaded = command.begin("agree", benchmark)
    table = agreement.build(where, loaded)
    made = agreement.consensus(where, loaded, consensus) if consensus else 0
    if json:
        rows = annotators.medians(table).to_dict("records")
        command.as_json({"benchmark": where.name, "agreement": rows, "sites": made})
        return
    for sentence in annotators.told(table):
        print(f"agree: {sentence}")
    if consensus:
        print(f"agree: annotations of {counted(made, 'site')} written")
