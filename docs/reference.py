"""Pages of the documentation that are made from the code (a hook of MkDocs): recipe, tables, commands,
settings; and links to files of the repository, which the site does not have, as their names."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.structure.files import File, Files

from models import registry
from models.recipes import SHARED
from models.training.settings import Settings
from pipeline import recipe, sources
from pipeline.activity import measures, thresholds
from pipeline.cli import app
from pipeline.cubes import compose
from pipeline.index import statistics, tile
from pipeline.publish import releases
from pipeline.scenes import scene_table
from pipeline.sensors import known
from pipeline.sensors.profile import Sensor

PARTS = (
    ("The file", recipe.Recipe), ("sensor", Sensor), ("periods, regular", recipe.Every),
    ("periods, named", recipe.Dates), ("periods, of one's own", recipe.Spans),
    ("selection", recipe.Selection), ("selection.season", recipe.Season), ("sites", recipe.Sites),
    ("sites.filters", recipe.Filters), ("sites.join", recipe.Join), ("labels", recipe.Labels),
    ("tiling", recipe.Tiling), ("split", recipe.Split), ("publish", recipe.Publish),
)  # fmt: skip
TABLES = (
    ("scenes", "fetch", scene_table.ROW, scene_table, "ROW"),
    ("composites", "compose", compose.ROW, compose, "ROW"),
    ("tiles", "tile", tile.TILE, tile, ""),
    ("tile_periods", "tile", tile.TILE_PERIOD, tile, ""),
    ("pairs", "tile", tile.PAIR, tile, ""),
    ("activity/intervals", "activity", measures.INTERVALS, measures, "INTERVALS"),
    ("activity/agreement", "activity", measures.AGREEMENT, measures, ""),
    ("activity/thresholds", "activity", thresholds.COLUMNS, thresholds, ""),
    ("activity/curves", "activity", thresholds.CURVE, thresholds, ""),
    ("releases (catalogs/&lt;b&gt;/releases/)", "publish", releases.ROW, releases, "ROW"),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {"recipe": recipes(), "tables": tables(), "commands": commands(), "settings": settings()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    folder = Path(config["docs_dir"]) / "decisions"
    files.append(File.generated(config, "decisions/index.md", content=decisions(folder)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/ become the names of what they lead to."""
    up = "../" * page.file.src_uri.count("/") + "../"
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}[^)]+\)", r"\1", markdown)


def decisions(folder: Path) -> str:
    rows = [
        f"- [{path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}]({path.name})"
        for path in sorted(folder.glob("0*.md"))
    ]
    return "\n".join(
        ["# Decisions", "", "Why things are as they are, in the order in which it was decided.", "", *rows]
    )


def recipes() -> str:
    """Every field of a recipe."""
    text = [
        "# recipe.yaml", "",
        "Everything that decides what a benchmark is. Unknown keys are errors.", "",
    ]  # fmt: skip
    for title, part in PARTS:
        text += _section(title, part)
    for name in sources.names():
        text += _section(f"source: {name}", sources.options_of(name))
    text += ["## Sensors", "", "| profile | |", "|---|---|"]
    text += [f"| `{name}` | {profile.title} |" for name, profile in known.PROFILES.items()]
    return "\n".join(text)


def _section(title: str, part: type) -> list[str]:
    return [f"## {title}", "", _about(part), "", *_fields(part), ""]


def _about(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def _fields(part: type) -> list[str]:
    """A table of a class's own annotated fields: type, default, and the text beneath."""
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for name, kind, default, about in _annotated(part):
        rows.append(f"| `{name}` | {_cell(kind)} | {_cell(default)} | {about} |")
    return rows if len(rows) > 2 else []


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _annotated(part: type) -> Iterator[tuple[str, str, str, str]]:
    body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or "ClassVar" in ast.unparse(node.annotation):
            continue
        name = ast.unparse(node.target)
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        about = " ".join(str(after.value.value).split()) if is_text else ""
        yield _renamed(name, node), _plain(node.annotation), _default(node), about


def _plain(annotation: ast.expr) -> str:
    """An annotation as readers of YAML know it."""
    text = re.sub(r"Annotated\[(.+?), (?:Field|BeforeValidator).*\]", r"\1", ast.unparse(annotation))
    text = re.sub(r"Literal\[([^\]]*)\]", lambda found: found[1].replace("'", "").replace(", ", " or "), text)
    text = re.sub(r"tuple\[(\w[^\]]*), \.\.\.\]", r"list of \1", text)
    text = text.replace("SerializeAsAny[Options]", "a source or a list of them")
    return text.replace(" | None", "").replace(" | ", " or ")


def _call(node: ast.AnnAssign) -> dict[str, ast.expr]:
    """The words of a `Field(...)`."""
    if isinstance(node.value, ast.Call):
        return {word.arg: word.value for word in node.value.keywords if word.arg}
    return {}


def _renamed(name: str, node: ast.AnnAssign) -> str:
    alias = _call(node).get("alias")
    return ast.literal_eval(alias) if alias is not None else name


def _default(node: ast.AnnAssign) -> str:
    if node.value is None:
        return ""
    words = _call(node)
    if "default" in words:
        return ast.unparse(words["default"])
    if "default_factory" in words:
        return "{}"
    return "" if ast.unparse(node.value).startswith("Field(") else ast.unparse(node.value)


def tables() -> str:
    """Columns of the tables that have a fixed form, and what the statistics are."""
    text = [
        "# Tables", "",
        "Parquet under `data/<b>/index/`. `sites.parquet` is GeoParquet (EPSG:4326): site_id, name, "
        "country (ISO3), commodity, production, source, area_km2, mines, epsg, height, width, "
        "geometry (the AOI), footprint (the mines' polygons).", "",
    ]  # fmt: skip
    for name, stage, columns, module, constant in TABLES:
        text += [
            f"## {name}",
            "",
            f"Written by `{stage}`. {_below(module, constant)}",
            "",
            "| column | type |",
            "|---|---|",
        ]
        text += [f"| `{column}` | {kind} |" for column, kind in columns.items()]
        text.append("")
    text += ["## statistics", "", "```text", inspect.getdoc(statistics) or "", "```", ""]
    return "\n".join(text)


def _below(module: Any, constant: str) -> str:
    """The text beneath a constant."""
    body = ast.parse(inspect.getsource(module)).body
    for node, after in pairwise(body):
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == constant
            and isinstance(after, ast.Expr)
        ):
            return " ".join(str(ast.literal_eval(after.value)).split())
    return ""


def commands() -> str:
    """The command line."""
    group: Any = typer.main.get_command(app.app)
    text = [
        "# Commands", "",
        "`minebench COMMAND --help` says the same. Exit status: 0 done, 1 the work failed, 2 words or input "
        "were wrong.", "",
    ]  # fmt: skip
    for name, command in sorted(group.commands.items()):
        text += [f"## {name}", "", command.help or "", ""]
        rows = []
        for parameter in command.params:
            if parameter.name == "help":
                continue
            words = ", ".join(parameter.opts + parameter.secondary_opts)
            shown = (
                f"`{words}`" if parameter.param_type_name == "option" else f"`{str(parameter.name).upper()}`"
            )
            about = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
            known = parameter.default if parameter.default not in (None, False, "") else ""
            needed = " **Required.**" if parameter.required else ""
            default = (
                f" Default: `{known}`."
                if known != "" and not callable(known) and not parameter.required
                else ""
            )
            rows.append(f"| {shown} | {about}{default}{needed} |")
        text += ["| | |", "|---|---|", *rows, ""] if rows else []
        if command.epilog:
            text += [f"    {command.epilog.removeprefix('Example: ')}", ""]
    return "\n".join(text)


def settings() -> str:
    """Settings of training, and what each model's recipe makes of them."""
    text = [
        "# Settings", "", "Under `train.<model>` in params.yaml. A model begins with its recipe's.", "",
        *_fields(Settings), "", "## The models' recipes", "",
        "| model | whose | settings |", "|---|---|---|",
    ]  # fmt: skip
    for task in registry.REGISTRY:
        for name in registry.names(task):
            recipe = registry.recipe(name)
            own = ", ".join(f"{key} {value}" for key, value in recipe.settings.items())
            text.append(f"| `{name}` | {recipe.whose} | {own} |")
    text += ["", "Other works' settings, by `recipe:`:", "", "| recipe | whose | settings |", "|---|---|---|"]
    for word, other in SHARED.items():
        own = ", ".join(f"{key} {value}" for key, value in other.settings.items())
        text.append(f"| `{word}` | {other.whose} | {own} |")
    text += [
        "",
        "## params.yaml",
        "",
        "`benchmarks`, `models`, `workers`, `scheduler`, `train`, `evaluate`: see its comments.",
    ]
    return "\n".join(text)
