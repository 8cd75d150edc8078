"""Mutated inputs of every kind: each ends in success or in one sentence; `tests.chaos` counts thousands.

A kind is attempted by number: a file is disturbed (bytes, values, name), what a command does with it is done
in this process, and the file is put back. What is raised other than a sentence, a changed input and a
temporary file that stays are defects. A sample goes through real commands.
"""

import contextlib
import copy
import io
import json
import logging
import random
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import geopandas as gpd
import yaml
from starlette.testclient import TestClient

from minebench.errors import MinebenchError, explained
from minebench.layout import BenchmarkPaths
from models.training.settings import Settings, given_for
from pipeline import params, recipe
from pipeline.cli import app, command
from pipeline.cubes import annotate
from pipeline.image_folder import scan
from pipeline.label import studio
from pipeline.published import ingest
from pipeline.published.formats import readers
from pipeline.sensors import landsat
from pipeline.sites import site as sites
from pipeline.sources import local
from pipeline.sources.stac import Options as StacOptions
from pipeline.sources.stac import disk_catalog, saved
from pipeline.sources.stac.items import StacSource
from tests import published
from tests.conftest import complaints, make_project, run
from tests.e2e import test_mutated_lists as lists
from tests.e2e import test_mutated_recipes as recipes
from tests.pipeline.sources import test_item_bands as items

LONGEST_S = 60
Attempt = Callable[[int], str | None]
"""Of a number: None for success, else the sentence."""


class Changed(AssertionError):
    """A command changed its input, or left something half-written."""


class TooLong(AssertionError):
    """An attempt took more than `LONGEST_S`."""


def bytes_changed(content: bytes, rng: random.Random) -> bytes:
    """A few bytes replaced, the end or all missing, or a part twice."""
    if not content or rng.random() < 0.05:
        return b""
    changed = bytearray(content)
    for _ in range(rng.choice([0, 1, 3, 30])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    at = rng.randrange(len(changed))
    return bytes(rng.choice([changed, changed, changed[:at], changed[:at] + changed[at // 2 :]]))


def value_changed(value: Any, rng: random.Random) -> Any:
    """A nested value with one to three of its parts replaced or removed."""
    whole = {"": copy.deepcopy(value)}
    for _ in range(rng.randint(1, 3)):
        all_, *parts = recipes.places(whole)
        path = rng.choice(parts) if parts and rng.random() < 0.97 else all_
        holder: Any = whole
        for key in path[:-1]:
            holder = holder[key]
        if rng.random() < 0.15 and len(path) > 1:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(rng.choice(recipes.VALUES))
    return whole[""]


def content_changed(path: Path, rng: random.Random) -> bytes:
    """A file's content, changed by value where it is JSON or YAML, else by bytes."""
    content = path.read_bytes()
    if rng.random() < 0.8 and path.suffix == ".json":
        return json.dumps(value_changed(json.loads(content), rng)).encode()
    if rng.random() < 0.8 and path.suffix == ".yaml":
        return yaml.safe_dump(value_changed(yaml.safe_load(content), rng)).encode()
    return bytes_changed(content, rng)


@contextlib.contextmanager
def disturbed(paths: Sequence[Path], rng: random.Random) -> Iterator[Path]:
    """One of these files changed, renamed or gone; afterwards it is as it was. `Changed` where somebody wrote
    to it meanwhile."""
    path = rng.choice(paths)
    before, after = path.read_bytes(), content_changed(path, rng)
    path.unlink()  # it may be a link
    other = path
    if (how := rng.random()) < 0.04:
        other = path.with_name(f"x{path.name}")
    if how > 0.02:
        other.write_bytes(after)
    try:
        yield path
        if how > 0.02 and (not other.is_file() or other.read_bytes() != after):
            raise Changed(f"{other} was written to")
    finally:
        other.unlink(missing_ok=True)
        path.write_bytes(before)


def outcome(work: Callable[[], object]) -> str | None:
    """What the command line would say of some work: None for success, else its sentence. Whatever it would
    call a defect is raised."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLong(f"more than {LONGEST_S} s")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST_S)
    try:
        silent = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(silent),
            contextlib.redirect_stderr(silent),
        ):
            warnings.simplefilter("ignore")
            work()
    except MinebenchError as error:
        return str(error)
    except app.UsageError as error:
        return f"{error.format_message().rstrip('.')}."
    except Exception as error:
        if known := explained(error):
            return str(known)
        raise
    finally:
        signal.alarm(0)
    return None


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Put the log back that a command turns to its own file."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers, root.level = handlers, level
        logging.captureWarnings(False)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of `minebench.files.replacing`."""
    return [path for path in folder.rglob(".[0-9]*") if path.name[1].isdigit()]


class Kinds:
    """Attempts by kind on a built project, which is theirs to harm."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.benchmark = BenchmarkPaths("tiny", project)
        self.recipe = recipe.load(self.benchmark.recipe)
        self.sites = sites.load(self.benchmark, self.recipe)
        self.by_name: dict[str, Attempt] = {
            "mine lists": lambda seed: self._own_folder(lists.attempted, seed),
            "recipes": lambda seed: self._own_folder(recipes.attempted, seed),
            "params.yaml": self.params,
            "submissions": self.submission,
            "annotations": self.annotations,
            "STAC items": self.stac_item,
            "catalogs": self.catalog,
            "GeoTIFFs": self.geotiff,
            "published data": self.published,
            "studio steps": self.step,
            "results": self.results,
            "inputs of real commands": self.command,
        }
        self._prepare()

    def _prepare(self) -> None:
        """Write what the attempts disturb."""
        labels = self.benchmark.archive / "footprints.parquet"
        table = gpd.read_parquet(labels)
        self.folder.mkdir()
        self.drawn = [self.benchmark.annotations / f"drawn{suffix}" for suffix in (".gpkg", ".geojson")]
        for path in self.drawn:
            table.to_file(path)
        images = self.folder / "images"
        images.mkdir()
        for year in (2020, 2021):
            items.picture(images / f"a_{year}.tif", [10, 20, 30])
        self.images = sorted(images.iterdir())
        self.layouts = {
            "minenetcd256": published.minenetcd_parquet(self.folder / "parquet"),
            "oms2cd": published.oms2cd(self.folder / "oms2cd"),
            "euromine": published.euromine(self.folder / "euromine"),
        }
        grid = {"proj:shape": [4, 4], "proj:transform": [30, 0, 276000, 0, -30, 7312000]}
        (self.folder / "stac").mkdir()
        fields: dict[str, dict[str, Any]] = {"red": grid, "qa_pixel": {**grid, "eo:bands": [{"name": "qa"}]}}
        self.catalogue = items.item(self.folder / "stac", fields, **{"eo:cloud_cover": 3.0})
        self.desk = studio.Studio(self.benchmark, self.recipe, [], self.folder / "labels")
        self.desk.builder = ThreadPoolExecutor(1)  # type: ignore[assignment]
        self.client = TestClient(studio.app(self.desk, "t"), base_url="http://127.0.0.1")
        run("score", "--template", "empty", cwd=self.project)
        (self.project / "empty/submission.yaml").write_text(
            "who: a\nwhat: b\nlicence: c\nurl: https://d.org\n"
        )

    def close(self) -> None:
        """End the studio's thread."""
        self.desk.builder.shutdown()  # type: ignore[attr-defined]

    def _own_folder(self, attempt: Callable[[Path, int], str | None], seed: int) -> str | None:
        with tempfile.TemporaryDirectory() as folder:
            return attempt(Path(folder) / "p", seed)

    def _cli(self, words: str) -> str | None:
        """The real command line in this process; what it left half-written is a defect."""
        with own_logging():
            said = outcome(lambda: app.app(words.split(), prog_name="minebench", standalone_mode=False))
        if found := leftovers(self.project):
            raise Changed(f"{found} is left")
        return said

    def params(self, seed: int) -> str | None:
        rng, path = random.Random(seed), self.project / "params.yaml"

        def read() -> None:
            model = rng.choice(["unet", "fc-siam-diff", "unet@few", "cva"])
            Settings.of(given_for(model, params.load().train), model)
            command.spread(None)
            command.benchmark_of(None)

        with disturbed([path], rng), contextlib.chdir(self.project):
            return outcome(read) or (self._cli("evaluate --model cva") if rng.random() < 0.1 else None)

    def submission(self, seed: int) -> str | None:
        rng, folder = random.Random(seed), self.project / "empty"
        paths = [path for path in folder.rglob("*") if path.is_file()]
        with (
            disturbed(rng.choice([paths, [folder / "submission.yaml"]]), rng),
            contextlib.chdir(self.project),
        ):
            return self._cli(f"score empty --name theirs{rng.choice(['', ' --partial'])}")

    def annotations(self, seed: int) -> str | None:
        rng = random.Random(seed)
        path = self.benchmark.annotations / f"m{rng.choice(['.gpkg', '.geojson', '.parquet', '.shp'])}"
        given = self.recipe.model_copy(
            update={
                "labels": self.recipe.labels.model_copy(update={"source": "annotations", "column": "when"})
            }
        )

        def read() -> None:
            table = annotate.read_file(path, given)
            for site, near in zip(self.sites, annotate.labels_near(table, self.sites), strict=True):
                near.inputs()
                annotate.masks_in(
                    near.rows, site, given, [period.label for period in given.periods.periods()]
                )

        table = lists.mutated(rng)
        when = [rng.choice(["2021", "2021-05-01", 2022, 2022.0, *lists.CELLS]) for _ in range(len(table))]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if not lists.written(table.assign(when=when if rng.random() < 0.3 else 2021), path, rng):
                    return None
            return outcome(read)
        finally:
            for part in self.benchmark.annotations.glob("m.*"):
                part.unlink()

    def stac_item(self, seed: int) -> str | None:
        rng = random.Random(seed)

        def search() -> None:
            for cached in (saved.items, disk_catalog._static):
                cached.cache_clear()
            source = StacSource(
                StacOptions(name="stac", href=str(self.catalogue)), "stac", landsat.C2_L2, ["red"]
            )
            for scene in source.search(items.AREA, date(2020, 1, 1), date(2021, 1, 1)):
                assert scene.flaw or source.native(scene, "red")

        with disturbed(sorted(self.catalogue.parent.iterdir()), rng):
            return outcome(search)

    def catalog(self, seed: int) -> str | None:
        rng = random.Random(seed)
        paths = [p for p in self.benchmark.stac.rglob("*.json") if "example" not in p.name]
        with disturbed(sorted(paths), rng), contextlib.chdir(self.project):
            said = self._cli("check")
        # It lists what it found, a line each.
        return said and " ".join(said.split()).rstrip(".") + "."

    def geotiff(self, seed: int) -> str | None:
        rng = random.Random(seed)

        def read() -> None:
            found = scan.look(self.images[0].parent)
            options = local.Options(
                name="local", path=found.path, pattern=found.pattern, bands={"R": 1, "G": 2, "B": 3}
            )
            source = local.LocalSource(options, Path())
            for scene in source.search(items.AREA, date(2020, 1, 1), date(2022, 1, 1)):
                source.read(scene, ["R", "B"], source.native(scene, "R")[:64, :64])

        with disturbed(self.images, rng):
            local._looked_through.cache_clear()
            return outcome(read)

    def published(self, seed: int) -> str | None:
        rng = random.Random(seed)
        layout, folder = rng.choice(sorted(self.layouts.items()))

        def read() -> None:
            with tempfile.TemporaryDirectory() as root:
                _, loaded = ingest.prepare("own", layout, folder, Path(root))
                files = loaded.source.published(Path(root))
                for site in files.sites()[:6]:
                    for label in site.images:
                        files.image(site, label)
                        files.mask(site, label)
                    files.changes(site)
                    files.aoi(site)
                    files.files(site)

        readers.opened.cache_clear()
        with disturbed(sorted(path for path in folder.rglob("*") if path.is_file()), rng):
            return outcome(read)

    def step(self, seed: int) -> str | None:
        """A step of an annotator; the journal must stay readable."""
        rng = random.Random(seed)
        site = self.sites[0].site_id
        subject = self.desk.session(site).subjects[0]
        seen = self.desk.session(site).state()["version"]
        told = {"subject": subject, "by": "a", "seconds": 1.0, "seen": seen}
        step = rng.choice([
            {"step": "click", "row": 5, "column": 5, "area": 50.0, "stacked": False, "adds": True, **told},
            {"step": "draw", "rings": [[[1, 1], [9, 1], [9, 9]]], "adds": True, **told},
            {"step": "carry", "source": self.desk.session(site).subjects[-1], **told},
            {"step": "answer", "proposal": 0, "accept": True, **told},
            {"step": "same", "source": subject, **told},
            {"step": "model", "run": "unet", "threshold": 50, **told},
            {"step": "mark", "mark": "nothing", **told},
            {"step": "undo", "by": "a", "seen": seen}, {"step": "redo", "by": "a", "seen": seen},
        ])  # fmt: skip
        body = json.dumps(value_changed(step, rng) if rng.random() < 0.85 else step).encode()
        if rng.random() < 0.2:
            body = bytes_changed(body, rng)
        answer = self.client.post(f"/t/site/{site}/step", content=body)
        state = self.client.get(f"/t/site/{site}/state")
        if state.status_code != 200:
            raise Changed(f"the state after {body!r}: {state.text}")
        if answer.status_code >= 500 and answer.status_code != 507:
            raise Changed(f"{answer.status_code} to {body!r}")
        return str(answer.json()["said"]) if answer.status_code != 200 else None

    def results(self, seed: int) -> str | None:
        """What evaluations and predictions wrote, as a hand or a merge may leave it."""
        rng, data = random.Random(seed), self.benchmark.data
        paths = [p for part in ("runs", "predictions") for p in (data / part).rglob("*.json")]
        words = rng.choice(["compare", "report", "activity", "catalog", "explain --model unet",
                            "evaluate --model unet", "predict --model unet",
                            "score empty --name theirs"])  # fmt: skip
        path = rng.choice([path for path in paths if "live" not in path.parts])
        if rng.random() < 0.6:
            path = data / "runs" / rng.choice(["unet", "cva"]) / rng.choice(["metrics.json", "timing.json"])
        before = path.read_bytes()
        path.write_bytes(content_changed(path, rng))
        try:
            with contextlib.chdir(self.project):
                return self._cli(words)
        finally:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(before)

    def command(self, seed: int) -> str | None:
        """Any of the inputs, and a real command in a process of its own."""
        rng = random.Random(seed)
        words = rng.choice(["sites", "fetch", "compose", "annotate", "tile", "train --model unet", "report",
                            "evaluate --model unet", "compare", "activity", "catalog", "export --to folders",
                            "publish out", "score empty --name theirs", "check", "label --qgis"])  # fmt: skip
        inputs = [self.project / "params.yaml", self.benchmark.recipe, self.benchmark.mines / "mines.csv",
                  *self.benchmark.stac.rglob("*.json"), *(self.project / "empty").glob("*")]  # fmt: skip
        inputs = inputs[:3] if rng.random() < 0.7 else [path for path in inputs if path.is_file()]
        try:
            with disturbed(inputs, rng):
                done = run(*words.split(), cwd=self.project)
        finally:
            shutil.rmtree(self.project / "out", ignore_errors=True)
            shutil.rmtree(self.benchmark.data / "export", ignore_errors=True)
            run("sites", cwd=self.project)
        said = done.stderr
        if done.returncode not in {0, 1, 2} or "Traceback" in said or "is a defect" in said:
            raise Changed(f"{words} ended with {done.returncode}: {said}")
        if done.returncode and len(complaints(done)) != 1 and words not in {"check", "publish out"}:
            raise Changed(f"{words} said {said}")
        return " ".join(said.split()).rstrip(".") + "." if done.returncode else None


def complete(project: Path) -> Path:
    """Make what the kinds disturb: a tiny project with scored, compared and applied models."""
    make_project(project)
    stages = ["sites", "archive", "fetch", "compose", "annotate", "tile"]
    stages += [f"{stage} --model {model}" for model in ("unet", "cva") for stage in ("train", "evaluate")]
    stages += ["predict --model unet", "compare", "activity", "catalog", "report"]
    for words in stages:
        done = run(*words.split(), cwd=project)
        assert done.returncode == 0, done.stderr
    return project


def all_kinds(folder: Path, wanted: int, seed: int, only: Sequence[str] | None) -> int:
    """Mutated inputs of every kind, the slow ones fewer; how many ended otherwise than they may."""
    logging.getLogger().addHandler(logging.NullHandler())  # as the command line does
    kinds = Kinds(complete(folder / "mutated"), folder / "inputs")
    names = [name for name in kinds.by_name if only is None or name in only]
    bad = sum(counted(name, kinds.by_name[name], wanted * SHARES[name] // 100, seed) for name in names)
    kinds.close()
    return bad


SHARES = {
    "mine lists": 15, "recipes": 20, "params.yaml": 12, "submissions": 4, "annotations": 10, "STAC items": 12,
    "catalogs": 3, "GeoTIFFs": 10, "published data": 4, "studio steps": 7, "results": 2,
    "inputs of real commands": 1,
}  # fmt: skip
"""Of a hundred inputs, so many are of a kind."""


def counted(what: str, attempt: Attempt, count: int, seed: int) -> int:
    """Make attempts and print what became of them; how many ended otherwise than they may."""
    refused, defects, begin = 0, [], time.monotonic()
    for number in range(count):
        try:
            said = attempt(seed * 1_000_000 + number)
        except Exception as error:
            defects.append(f"{seed * 1_000_000 + number}: {type(error).__name__}: {error}"[:300])
            continue
        refused += said is not None
        if said is not None and ("\n" in said or not said.endswith(".")):
            defects.append(f"{seed * 1_000_000 + number}: {said}"[:300])
    took = time.monotonic() - begin
    print(
        f"{count:,} mutated {what}: {refused:,} refused, {len(defects)} defects in {took:.0f} s", flush=True
    )
    for defect in dict.fromkeys(defects):
        print(f"  {defect}", flush=True)
    return len(defects)
