"""`make chaos`: kills at random moments in every command that writes, and thousands of mutated inputs.

    python -m tests.chaos [--kills 240] [--mutations 12000] [--seed 1] [--only NAME ...]

Each command is run once undisturbed, then killed again and again, and run once more: it must end with 0 and
leave what the undisturbed run left, byte for byte. Where process namespaces are allowed a command has the
same process number each time, as in a container. `label` is killed while steps come; its journal must hold
every step that was answered. Mutated inputs (`tests/mutants.py`) end in success or in one sentence.

Prints counts; ends with 1 where anything went otherwise. A bounded part runs in the suite
(tests/e2e/test_interruption.py, test_mutated_lists.py, test_mutated_recipes.py, test_mutants.py).
"""

import argparse
import http.client
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio

from pipeline.export.export import LAYOUTS
from tests import mutants, published
from tests.conftest import MINEBENCH, MINES, contents, make_project

DATA, STAC, MODEL = "data/tiny", "catalogs/tiny/stac", "fc-siam-diff"
RUN, SCORES = f"{DATA}/runs/{MODEL}", ("metrics.json", "timing.json", "counts.parquet")
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sites": ("sites", (f"{DATA}/index/sites.parquet",)),
    "archive": ("archive", (f"{DATA}/archive",)),
    "fetch": ("fetch", (f"{DATA}/scenes", f"{DATA}/index/scenes.parquet")),
    "compose": ("compose", (f"{DATA}/cubes", f"{DATA}/index/composites.parquet")),
    "annotate": ("annotate", (f"{DATA}/cubes/*/mine", f"{DATA}/cubes/*/change")),
    "tile": ("tile", tuple(f"{DATA}/index/{name}*" for name in ("tile", "pairs", "statistics"))),
    "train": (f"train --model {MODEL}", (RUN,)),
    "evaluate": (f"evaluate --model {MODEL}", tuple(f"{RUN}/{name}" for name in SCORES)),
    "template": ("score --template empty", ("empty",)),
    "score": ("score empty --name theirs", (f"{DATA}/runs/theirs",)),
    "compare": ("compare", (f"{DATA}/leaderboard",)),
    "predict": (f"predict --model {MODEL} --split all", (f"{DATA}/predictions",)),
    "activity": ("activity", (f"{DATA}/activity", f"{DATA}/index/activity")),
    "catalog": ("catalog", (STAC,)),
    "report": ("report", (f"{DATA}/report",)),
    "explain": (f"explain --model {MODEL}", (f"{DATA}/explanations",)),
    "publish": ("publish out", ("out", f"{DATA}/viewer")),
    **{f"export {to}": (f"export --to {to}", (f"{DATA}/export/{to}",)) for to in LAYOUTS},
    "ingest minenetcd256": (
        f"ingest again --from minenetcd256 --path {DATA}/export/minenetcd256",
        ("catalogs/again", "data/again"),
    ),
    "ingest euromine": ("ingest more --from euromine --path published", ("catalogs/more", "data/more")),
    "ingest oms2cd": ("ingest pairs --from oms2cd --path oms2cd", ("catalogs/pairs", "data/pairs")),
    "stac": ("stac images", ("images/catalog.json", "images/stac")),
    "new": ("new made --mines mines.csv --source synthetic", ("catalogs/made",)),
    "predict --mines": (
        f"predict --model {MODEL} --mines mines.csv --name far", ("catalogs/far", "data/far")
    ),
    "activity --masks": (
        "activity --masks masks/*.tif --out measured", ("measured",)
    ),
    "agree": (
        "agree --consensus majority", (f"{DATA}/index/annotators.parquet", "catalogs/tiny/annotations/*.gpkg")
    ),
    "label --qgis": ("label --qgis", (f"{DATA}/label", "catalogs/tiny/annotations/drawn.gpkg")),
}  # fmt: skip
"""Words of each command that writes, in an order in which they can run, and what is removed so that it has
work to do."""
DIFFERENT = ("/logs/", "/live/", "/timing.json")
"""Parts of the names of files that say when they were written, and how fast."""
DONE = ("exists already: ", "is there already: ")
"""What `export`, `new` and `score --template` say whose output was in place when the kill came."""
NAMESPACE = ("unshare", "-pf", "--mount-proc", "--kill-child")


@dataclass
class Count:
    """Kills, files that differed in the end, and what else went wrong."""

    kills: int
    differing: list[str]
    wrong: list[str]

    @property
    def bad(self) -> int:
        return len(self.differing) + len(self.wrong)

    def __str__(self) -> str:
        differing = f"{len(self.differing)} files differ {self.differing[:9]}"
        return f"{self.kills} kills, {differing}, {len(self.wrong)} wrong {self.wrong[:3]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=240)
    parser.add_argument("--mutations", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="commands to kill, or kinds to mutate; default: all")
    asked = parser.parse_args()
    print(f"seed {asked.seed}, process numbers {'repeat' if prefix() else 'differ'}", flush=True)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        if asked.kills:
            bad += kills(Path(folder) / "project", asked.kills, asked.seed, asked.only)
        if asked.mutations:
            bad += mutants.all_kinds(Path(folder), asked.mutations, asked.seed, asked.only)
    sys.exit(1 if bad else 0)


def kills(folder: Path, wanted: int, seed: int, only: list[str] | None) -> int:
    """Kill each command; how much went wrong."""
    project = make_project(folder, workers=2)
    published.euromine(project / "published")
    published.oms2cd(project / "oms2cd")
    write_images(project / "images")
    (project / "mines.csv").write_text(MINES.replace("Alpha", "Delta"))
    write_masks(project / "masks")
    names = [name for name in (*COMMANDS, "label") if only is None or name in only]
    counts = []
    for name in COMMANDS:
        if name == "agree":
            write_layers(project)
        if name in names:
            try:
                counts.append(
                    killed(project, name, -(-wanted // len(names)), random.Random(f"{seed} {name}"))
                )
            except RuntimeError as error:
                counts.append(Count(0, [], [str(error)]))
            print(f"{name}: {counts[-1]}", flush=True)
        else:
            start(COMMANDS[name][0].split(), project).communicate()
    if "label" in names:
        counts.append(label_killed(project, -(-wanted // len(names)), random.Random(f"{seed} label")))
        print(f"label: {counts[-1]}", flush=True)
    bad = sum(count.bad for count in counts)
    print(
        f"{sum(count.kills for count in counts)} kills of {len(counts)} commands, {bad} went wrong",
        flush=True,
    )
    return bad


def write_masks(folder: Path) -> None:
    """Change masks of two intervals, as others' networks write them."""
    folder.mkdir()
    grid = rasterio.Affine.translation(500_000, 5_000_000) @ rasterio.Affine.scale(10, -10)
    profile = {
        "width": 64,
        "height": 64,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": grid,
    }
    for number, name in enumerate(("2021_2022", "2022_2023"), 1):
        mask = np.zeros((1, 64, 64), np.uint8)
        mask[:, : 10 * number] = 255
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as file:
            file.write(mask)


def write_images(folder: Path) -> None:
    """A year's image each in a folder, of the bands of Sentinel-2 that they are named after."""
    bands = ("B02", "B03", "B04", "B08")
    for year in range(2018, 2024):
        image, _ = published.scene(year, (64, 64), bands=len(bands))
        path = folder / f"mine_{year}-07-01.tif"
        published.tif(path, image.astype(np.uint16) * 30, (5e5, 5e6))
        with rasterio.open(path, "r+") as file:
            file.descriptions = bands


def write_layers(project: Path) -> None:
    """Two annotators' labels of every site, a period each."""
    for site in gpd.read_parquet(project / DATA / "index" / "sites.parquet").itertuples():
        for number, annotator in enumerate(("ada", "bo"), 1):
            outline = site.geometry.centroid.buffer(0.001 * number)
            rows = {"year": [2021, 2022, 2023], "geometry": [outline] * 3}
            path = project / "catalogs/tiny/annotations/layers" / annotator / f"{site.site_id}.gpkg"
            path.parent.mkdir(parents=True, exist_ok=True)
            gpd.GeoDataFrame(rows, crs=4326).to_file(path, driver="GPKG")


def killed(project: Path, name: str, times: int, rng: random.Random) -> Count:
    """Kill a command so often at work, and compare what it leaves with what an undisturbed run leaves."""
    words, outputs = COMMANDS[name][0].split(), COMMANDS[name][1]
    clear(project, outputs)
    begun, ended = undisturbed(words, project)
    reference, count = found(project), Count(0, [], [])
    clear(project, outputs)
    while count.kills < times:
        begin, process = time.monotonic(), start(words, project)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(begun, ended))
            ended = time.monotonic() - begin  # faster than at first
            begun = min(begun, ended / 2)
        process.send_signal(signal.SIGKILL)
        said = process.communicate()[1]
        if process.returncode == 0 or is_done(said):
            clear(project, outputs)
            continue
        if process.returncode != -signal.SIGKILL or "Traceback" in said:
            count.wrong.append(said)
        count.kills += 1
    process = start(words, project)
    said = process.communicate()[1]
    if process.returncode and not is_done(said):
        count.wrong.append(said)
    now = found(project)
    count.differing = sorted(path for path in {*reference, *now} if reference.get(path) != now.get(path))
    return count


def is_done(said: str) -> bool:
    return any(words in said for words in DONE)


def undisturbed(words: list[str], project: Path) -> tuple[float, float]:
    """Run a command; after how many seconds it took its first lock or wrote, and ended."""
    for path in project.glob("data/*/logs"):
        shutil.rmtree(path)
    begin, first = time.monotonic(), 0.0
    process = start(words, project)
    while process.poll() is None:
        time.sleep(0.01)
        if not first and next(project.glob("data/*/logs/*"), None):
            first = time.monotonic() - begin
    if process.returncode:
        raise RuntimeError(f"{words}: {process.communicate()[1]}")
    ended = time.monotonic() - begin
    return first or ended / 2, ended


def prefix() -> tuple[str, ...]:
    """Words that give a command a process namespace of its own; none where that is not allowed."""
    allowed = (
        shutil.which(NAMESPACE[0])
        and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode
    )
    return NAMESPACE if allowed else ()


def start(words: list[str], project: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix(), str(MINEBENCH), *words],
        cwd=project,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def clear(project: Path, outputs: tuple[str, ...]) -> None:
    for path in [path for output in outputs for path in project.glob(output)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def found(project: Path) -> dict[str, bytes]:
    """Every file that must be the same. A GeoPackage says when it was saved: its rows count."""
    names = {n: c for n, c in contents(project).items() if not any(part in f"/{n}" for part in DIFFERENT)}
    return {n: rows_of(project / n) if n.endswith(".gpkg") else c for n, c in names.items()}


def rows_of(path: Path) -> bytes:
    """All layers of a GeoPackage as text."""
    layers = sorted(name for name, _ in pyogrio.list_layers(path))
    return "".join(f"{name}\n{gpd.read_file(path, layer=name).to_csv()}" for name in layers).encode()


def label_killed(project: Path, times: int, rng: random.Random) -> Count:
    """Kill the studio while steps come. Its journal must hold every step that was answered and at most one
    more per kill; started again, it must have the annotation file as an undisturbed one would."""
    site = next((project / DATA / "cubes").glob("*.zarr")).stem
    folder = project / "catalogs/tiny/annotations"
    for path in folder.glob("*.gpkg"):  # of `agree`
        path.unlink()
    answered, count = list[str](), Count(0, [], [])
    while count.kills < times:
        with studio(project) as (address, process):
            subjects = ask(f"{address}site/{site}")["subjects"]
            threading.Timer(rng.uniform(0.05, 1.5), process.kill).start()
            with suppress(OSError, http.client.HTTPException):
                while True:
                    answered.append(mark(f"{address}site/{site}", subjects, count.kills, rng))
        count.kills += 1
        lines = journal(folder, site).read_bytes().splitlines(True)
        steps = [json.loads(line)["edit"]["by"] for line in lines if line.endswith(b"\n")]
        count.wrong += [f"step {by} is lost" for by in answered if by not in steps]
        if len(steps) - len(answered) > count.kills:
            count.wrong.append(f"{len(steps)} steps, of which {len(answered)} were answered")
    drawn = [followed(project, site, folder) for _ in range(2)]
    for path in folder.glob("*.gpkg"):
        path.unlink()
    if followed(project, site, folder) != drawn[0] or drawn[0] != drawn[1]:
        count.wrong.append(f"the annotation file is not the journal's: {drawn}")
    print(f"label: {len(answered)} steps answered", flush=True)
    return count


def mark(address: str, subjects: list[str], number: int, rng: random.Random) -> str:
    """Make a step; by whom, which no other step is."""
    by = f"{number}-{rng.getrandbits(48)}"
    state, subject = ask(f"{address}/state"), rng.choice(subjects)
    # What changes nothing is no step.
    to = rng.choice(sorted({"nothing", "unseen", "open"} - {state["marks"][subject]}))
    told = {"by": by, "seconds": 1, "seen": state["version"]}
    ask(f"{address}/step", {"step": "mark", "subject": subject, "mark": to, **told})
    return by


def journal(folder: Path, site: str) -> Path:
    return folder / "journal" / f"{site}.jsonl"


def followed(project: Path, site: str, folder: Path) -> list[str]:
    """What the annotation file holds once the site was opened."""
    with studio(project) as (address, _):
        ask(f"{address}site/{site}")
    if not (folder / f"{site}.gpkg").is_file():
        return []
    table = gpd.read_file(folder / f"{site}.gpkg")
    return sorted(str(row) for row in table.drop(columns="geometry").to_dict("records"))


@contextmanager
def studio(project: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = start(["label", "--port", "0"], project)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1], process
    finally:
        process.kill()
        process.communicate()


def ask(address: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data), timeout=60) as answer:
        return dict(json.load(answer))


if __name__ == "__main__":
    main()
