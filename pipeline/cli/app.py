"""The `minebench` command: one command a stage, thin over what `pipeline.stages` names."""

import atexit
import gc
import io
import logging
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from minebench import __version__, rank
from minebench.errors import InputError, MinebenchError, explained
from minebench.text import counted, few, score
from pipeline.cli import command, doctor, headings, label, scoring
from pipeline.cli import models as model_commands
from pipeline.cli.options import Json, Name, Scheduler
from pipeline.core import interruption, locks, log_file, threads

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From a list of mines to a change-detection benchmark, and to measured baselines.",
    epilog="A first benchmark: minebench new mine --mines mines.gpkg --source stac",
)
UsageError: Any = typer.BadParameter.__bases__[0]
"""Unknown command, missing option, bad value. Typer does not export the class that these share."""


def _version(asked: bool) -> None:
    if asked:
        print(f"minebench {__version__}")
        raise typer.Exit


@app.callback(result_callback=command.say_next)
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: 0 done, 1 the work failed, 2 usage or input error."""
    interruption.watch()
    threads.one_a_core()
    # Most of a short command is loading libraries: a million objects, none of which is garbage.
    gc.set_threshold(50_000, 20, 50)
    atexit.register(gc.freeze)
    if not rank.is_first():
        sys.stdout = io.StringIO()  # only the first of several processes prints
    # Until a stage opens its log file nothing is logged: what we print is for the user alone.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.captureWarnings(True)
    os.environ.setdefault("CPL_LOG", os.devnull)  # what GDAL says besides its errors
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII alone
    logging.raiseExceptions = False  # a log that cannot be written has no place on the terminal
    try:
        sys.exit(app(prog_name="minebench", standalone_mode=False) or 0)
    except MinebenchError as error:
        logging.getLogger("pipeline").error("%s", error)
        command.fail(str(error), error.exit_status)
    except interruption.Interrupted as interrupted:
        interruption.end(interrupted.number)
    except UsageError as error:
        if not error.format_message():  # the help was printed
            sys.exit(2)
        words = [error.ctx.command_path if error.ctx else "minebench", "--help"]
        command.fail(f"{error.format_message().rstrip('.')}; see `{' '.join(words)}`.", 2)
    except Exception as error:
        if known := explained(error):
            logging.getLogger("pipeline").exception("unexpected failure")
            command.fail(str(known), known.exit_status)
        path = log_file.with_trace(error)
        command.fail(f"{type(error).__name__}: {error}. This is a defect; {path} has its trace.", 1)


def _by_site(stage: str, name: str | None, scheduler: str | None, **options: Any) -> Any:
    """Run a stage that works site by site; returns what it says of the run."""
    from pipeline import stages

    benchmark, loaded = command.begin(stage, name)
    return stages.named(stage).load()(benchmark, loaded, command.spread(scheduler), **options)


def _whole(stage: str, name: str | None) -> Any:
    """Run a stage over the benchmark as a whole; returns what it gives."""
    from pipeline import stages

    benchmark, loaded = command.begin(stage, name)
    return stages.named(stage).load()(benchmark, loaded)


@app.command(epilog="Example: minebench sites --benchmark ours --plan")
def sites(
    benchmark: Name = None,
    plan: Annotated[bool, typer.Option(help="Also print what fetching would take.")] = False,
    json: Json = False,
) -> None:
    """Read the mine list and lay out the sites."""
    from pipeline import stages
    from pipeline.sites import summary

    where, loaded = command.begin("sites", benchmark)
    table = stages.named("sites").load()(where, loaded)
    sentences, estimate = summary.of(table, loaded), None
    if plan:
        from pipeline.scenes.plan import make
        from pipeline.sites import site

        estimate = make(where, loaded, site.listed(table, loaded))
    if json:
        planned = asdict(estimate) if estimate else None
        command.as_json({"benchmark": where.name, "sites": len(table), "account": sentences, "plan": planned})
        return
    for sentence in sentences:
        print(f"sites: {sentence}")
    if plan:
        print(f"plan: {estimate or 'the source is synthetic: nothing is fetched'}")


@app.command(epilog="Example: minebench archive --benchmark demo")
def archive(benchmark: Name = None, scheduler: Scheduler = None) -> None:
    """Make the synthetic archive, where the recipe's source is synthetic."""
    command.made("archive", "made", _by_site("archive", benchmark, scheduler))


@app.command(epilog="Example: minebench fetch --benchmark ours")
def fetch(
    benchmark: Name = None,
    scheduler: Scheduler = None,
    refresh: Annotated[
        bool, typer.Option(help="Make a new choice of scenes, not those listed before.")
    ] = False,
) -> None:
    """Find scenes, choose among them, and keep their pixels."""
    print(f"fetch: {_by_site('fetch', benchmark, scheduler, refresh=refresh)}")


@app.command(epilog="Example: minebench compose --benchmark ours")
def compose(benchmark: Name = None, scheduler: Scheduler = None) -> None:
    """Make one image per period, and the sites' cubes."""
    command.made("compose", "composed", _by_site("compose", benchmark, scheduler))


@app.command(epilog="Example: minebench annotate --benchmark ours")
def annotate(benchmark: Name = None, scheduler: Scheduler = None) -> None:
    """Rasterise dated footprints into the cubes."""
    command.made("annotate", "annotated", _by_site("annotate", benchmark, scheduler))


@app.command(epilog="Example: minebench tile --benchmark ours")
def tile(benchmark: Name = None, scheduler: Scheduler = None) -> None:
    """Index tiles, pairs and splits."""
    done = _by_site("tile", benchmark, scheduler)
    print(f"tile: {counted(done.tiles, 'tile')}")
    if str(done.splits):
        print(f"tile: {done.splits}")
    if done.without:
        print(f"tile: too small for a tile, and left out: {few(done.without)}; tiling.pad fills them up")


@app.command(epilog="Example: minebench catalog --benchmark ours")
def catalog(benchmark: Name = None, scheduler: Scheduler = None) -> None:
    """Publish the benchmark as a static STAC catalog."""
    command.made("catalog", "wrote", _by_site("catalog", benchmark, scheduler))


app.command(epilog="Example: minebench train --model fc-siam-diff --fold kfold/0")(model_commands.train)


app.command(epilog="Example: minebench evaluate --model fc-siam-diff --threshold validation")(
    model_commands.evaluate
)


@app.command(epilog="Example: minebench compare --benchmark ours")
def compare(benchmark: Name = None, json: Json = False) -> None:
    """Set all evaluated models side by side: sizes, speed, scores, intervals, tests."""
    table = _whole("compare", benchmark)
    if json:
        command.as_json({"runs": table.astype(object).where(table.notna(), None).to_dict("records")})
        return
    if table.empty:
        print("compare: there are no labels, and so no scores to compare")
    for task, own in table.groupby("task"):
        print(f"compare: {task}: {', '.join(f'{row.run} {score(row.f1)}' for row in own.itertuples())}")
    if sentence := _apart(benchmark):
        print(f"compare: {sentence}")


def _apart(benchmark: str | None) -> str:
    """What stands apart from the leaderboard, in a sentence; empty where nothing does."""
    from models.evaluation import runs

    names = list(runs.set_apart(command.benchmark_of(benchmark).data))
    if not names:
        return ""
    them = "it stands apart" if len(names) == 1 else "they stand apart"
    return (
        f"{', '.join(names)}: scored on other tiles or labels than there are now, {them}; "
        "`minebench score` on the same predictions scores again"
    )


@app.command(epilog="Example: minebench activity --benchmark ours, or: --masks 'pred_*.tif' --out activity")
def activity(
    benchmark: Name = None,
    scheduler: Scheduler = None,
    masks: Annotated[
        str | None, typer.Option(help="Dated change masks of another tool to measure instead: a pattern.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the measures of --masks.")] = Path("activity"),
    area: Annotated[Path | None, typer.Option(help="Mask of the AOI, with --masks.")] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Weigh mean NDTCI by the intervals' lengths.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability from which on change counts, for all runs; else each run's own."),
    ] = None,
    years: Annotated[
        int | None,
        typer.Option(
            min=1, max=50, help="Years before and after a site's start of production to look at; 2 else."
        ),
    ] = None,
) -> None:
    """Measure how much, where and when each site changed: areas, NDTCI, maps."""
    if masks is not None:
        from pipeline.activity.other_masks import build

        if threshold is not None or years is not None:
            raise InputError(
                "--threshold and --years are of runs and sites: masks of another tool have neither."
            )

        table = build(masks, out, area, by_length)
        total = table.cumulative_m2.iloc[-1]
        print(f"activity: {counted(len(table), 'interval')}, {total:,.0f} m² changed, in {out}")
        return
    command.made(
        "activity",
        "measured",
        _by_site(
            "activity", benchmark, scheduler, by_length=by_length, threshold=threshold, years=years or 2
        ),
    )


app.command(epilog="Example: minebench predict --model unet --split all")(model_commands.predict)


app.command(epilog="Example: minebench explain --model fc-siam-diff")(model_commands.explain)


@app.command(epilog="Example: minebench report --benchmark ours")
def report(benchmark: Name = None) -> None:
    """Write the report: one HTML file."""
    print(f"report: {_whole('report', benchmark)}")


@app.command(epilog="Example: minebench new ours --mines mines.gpkg --source stac")
def new(
    name: Annotated[str, typer.Argument(help="Name of the benchmark to make.")],
    mines: Annotated[
        str,
        typer.Option(
            help="GeoPackage, GeoJSON, Shapefile (also zipped), KML, KMZ, FlatGeobuf, GML, GeoParquet or "
            "CSV, or a published list's name."
        ),
    ],
    layer: Annotated[str | None, typer.Option(help="Layer of a file that has several.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Where images come from: earthengine, stac, local, xyz or synthetic.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="Benchmark whose recipe to start from, such as euromine.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of dated images, or a cube, for the source local.")
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="Whose images to take of a folder with several sensors', such as sentinel-2-l2a."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Take what is not sure as guessed, and large repairs of the list."),
    ] = False,
) -> None:
    """Scaffold a benchmark from your own mine list, and say what it comes to."""
    from pipeline.cli import asking
    from pipeline.cli import new as scaffold
    from pipeline.sites.repairs import MuchRepaired

    if source is None and scaffold.needs_source(like):
        source = asking.source(scaffold.SOURCES)
    wanted = scaffold.Wanted(name, mines, layer, source, like, images, yes, sensor)
    try:
        made = scaffold.scaffold(wanted, accept=lambda seen: asking.accept_images(seen, yes))
    except MuchRepaired as error:
        asking.accept_repairs(error)
        made = scaffold.scaffold(replace(wanted, yes=True))  # of the images it has asked before
    recipe = made.benchmark.recipe
    for sentence in (*made.account, *made.estimate.sentences()):
        print(f"new: {sentence}")
    print(f"new: look through {recipe}, then")
    for task in made.to_do:
        print(f"  {task}")
    print(f"  add {name} to benchmarks in params.yaml and run: dvc repro")
    print(f"  or one stage at a time, beginning with: minebench sites --benchmark {name}")


@app.command(epilog="Example: minebench stac exports/")
def stac(
    folder: Annotated[Path, typer.Argument(help="Folder of dated images.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for catalog.json, above the images; default: their own.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take what is not sure of the images as guessed.")
    ] = False,
) -> None:
    """Write a static STAC catalog of a folder of images, which the source stac reads."""
    from pipeline.cli import asking
    from pipeline.image_folder import catalog as folder_catalog

    made = folder_catalog.write(folder, out, lambda seen: asking.accept_images(seen, yes, "stac"))
    print(f"stac: {made.path} has {counted(made.count, 'scene')}; these lines of a recipe read it:")
    for lines in made.recipes.values():
        print(f"  {lines}")


@app.command(epilog="Example: minebench ingest mine --from oms2cd --path published/")
def ingest(
    name: Annotated[str, typer.Argument(help="Name of the benchmark to make.")],
    layout: Annotated[
        str,
        typer.Option(
            "--from",
            help="Layout: minenetcd256, oms2cd, euromine, folders (A, B, label), or a set in "
            "such folders by its name: levir-cd, whu-cd, dsifn, cdd, sysu-cd, clcd, egy-bcd, gvlm, oscd, "
            "s2looking, smallminesds.",
        ),
    ],
    path: Annotated[Path, typer.Option(help="Folder with the published files.")],
    resolution: Annotated[
        float | None,
        typer.Option(help="Metres a pixel, of files that do not say it; default: as published.", min=0.01),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Of --from folders; default: the benchmark's name.")
    ] = None,
    citation: Annotated[str | None, typer.Option(help="Of --from folders; else unknown.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of --from folders, such as CC-BY-4.0; else unknown.")
    ] = None,
    dates: Annotated[
        str | None,
        typer.Option(help="Of --from folders: 2012,2016 or 2002..2013,2007..2018; else unknown."),
    ] = None,
) -> None:
    """Make a benchmark of published files, as they are."""
    from pipeline import params
    from pipeline.published.ingest import Given, prepare, run

    workers = params.load().workers
    given = Given(title, citation, licence, dates)
    benchmark, loaded = prepare(name, layout, path, resolution=resolution, given=given)
    locks.take(benchmark.lock("ingest"), f"`minebench ingest` of {benchmark.name}")
    log_file.begin(benchmark.log("ingest"))
    made = run(benchmark, loaded, workers)
    for reason in made.left_out:
        print(f"ingest: left out {reason}")
    for note in made.notes:
        print(f"ingest: {note}")
    holds = f"{counted(made.sites, 'site')} and {counted(made.tiles, 'tile')}"
    print(f"ingest: catalogs/{name} has {holds}. To train on it:")
    print(f"  minebench train --benchmark {name} --model fc-siam-diff")


@app.command(epilog="Example: minebench models --task change")
def models(
    task: Annotated[str | None, typer.Option(help="change or segmentation; default: both.")] = None,
    json: Json = False,
) -> None:
    """List the models: name, task, parameters, and what they are."""
    from models.evaluation.sizes import described

    rows = described(task)
    if json:
        command.as_json({"models": [asdict(row) for row in rows]})
        return
    width = max(len(row.name) for row in rows) + 2
    for row in rows:
        print(f"{row.name:{width}}{row.task:14}{row.parameters / 1e6:8.2f} M  {row.about}")


@app.command(epilog="Example: minebench export --to coco --benchmark ours")
def export(
    to: Annotated[str, typer.Option(help="minenetcd256, oms2cd, folders, coco or webdataset.")],
    benchmark: Name = None,
    out: Annotated[Path | None, typer.Option(help="Default: data/<benchmark>/export/<layout>.")] = None,
    image: Annotated[str, typer.Option(help="png or tif, for the layout folders.")] = "png",
    max_unknown: Annotated[
        float, typer.Option(help="Largest unknown share of a pair that is written.")
    ] = 0.05,
) -> None:
    """Write the benchmark in a layout that other code reads."""
    from pipeline.export.export import export as run

    where, loaded = command.begin("export", benchmark)
    print(f"export: {run(where, loaded, to, out, image, max_unknown)}")


@app.command(epilog="Example: minebench check --benchmark ours")
def check(benchmark: Name = None, json: Json = False) -> None:
    """Verify what the benchmark published: files, checksums, STAC, index against cubes."""
    from pipeline.stac.check import check as run

    where, _ = command.begin("check", benchmark)
    files = run(where)
    if json:
        command.as_json({"benchmark": where.name, "files": files})
        return
    print(f"check: {files:,} files are as published")


@app.command(epilog="Example: minebench publish out --benchmark ours --version 1.1")
def publish(
    out: Annotated[Path, typer.Argument(help="Folder to write, for any web server or data repository.")],
    benchmark: Name = None,
    version: Annotated[
        str | None, typer.Option(help="Of this release; the card says what changed since the one before.")
    ] = None,
    json: Json = False,
) -> None:
    """Write catalog, pixels, tables, cards, report and viewer into one folder."""
    from minebench.text import size
    from pipeline.publish import publish_folder

    where, loaded = command.begin("publish", benchmark)
    made = publish_folder.publish(where, loaded, out, command.spread(None), version)
    if json:
        command.as_json({"benchmark": where.name, "out": str(out), **made.told()})
        return
    print(f"publish: {counted(made.files, 'file')}, {size(made.size)}, {made.new:,} new, in {out}; checked")
    for name in made.left_out:
        print(f"publish: the images are left out: the terms of {name} do not let them be passed on")
    if made.release and made.release.before:
        changed = "; ".join(made.release.changes) or "nothing changed"
        print(f"publish: {made.release.version} since {made.release.before}: {changed}")


@app.command(epilog="Example: minebench browse --benchmark ours --port 8080")
def browse(
    benchmark: Name = None,
    port: Annotated[int, typer.Option(help="Port on this machine.", min=0, max=65535)] = 8000,
) -> None:
    """Look at the benchmark in a browser on this machine."""
    from pipeline.publish import browse, viewer_data

    where, loaded = command.begin("browse", benchmark)
    with browse.listening(port) as own:
        viewer_data.build(where, loaded, command.spread(None))
        address = f"http://127.0.0.1:{own.getsockname()[1]}"
        print(f"browse: {address}/ (Ctrl-C ends it)", flush=True)
        print(f"  for STAC clients: {address}/{where.stac.as_posix()}/catalog.json", flush=True)
        browse.serve(where, loaded, own)


app.command(epilog="Example: minebench doctor --source earth-search")(doctor.doctor)
app.command(epilog="Example: minebench score predictions --name ours-v1")(scoring.score)
app.command(epilog="Example: minebench label --benchmark ours --from unet")(label.label)
app.command(epilog="Example: minebench agree --consensus majority")(label.agree)
headings.arrange(app)
