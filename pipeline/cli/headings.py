"""The order of the commands in `minebench --help`, and the headings that they stand under."""

from typing import Any

import typer

HEADINGS = {
    "Begin a benchmark": ("new", "ingest", "stac", "doctor"),
    "Stages, in the order of the DAG": (
        "sites", "archive", "fetch", "compose", "annotate", "tile", "train", "evaluate", "compare",
        "activity", "catalog", "report",
    ),
    "Models": ("models", "predict", "explain", "score"),
    "Labels": ("label", "agree"),
    "Look, check and share": ("browse", "check", "export", "publish"),
}  # fmt: skip
"""Names of commands by heading. A command that is missing here is an error as soon as anything is run."""


def arrange(app: typer.Typer) -> None:
    """Put every command under its heading, in the order of `HEADINGS`."""
    heading_of = {name: heading for heading, names in HEADINGS.items() for name in names}
    order = list(heading_of)

    def name_of(command: Any) -> str:
        return str(command.name or command.callback.__name__)

    for command in app.registered_commands:
        command.rich_help_panel = heading_of[name_of(command)]
    app.registered_commands.sort(key=lambda command: order.index(name_of(command)))
