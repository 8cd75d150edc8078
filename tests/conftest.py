"""A tiny synthetic project, built once through the real command line and shared by the tests."""

import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.forks import FORKS

# Two workers on two cores: a thread each, for what they start as well, or they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Half a million objects of imported modules stay to the end; until all are there, and then among them,
# Python looks for garbage in vain (`pytest_collection_finish`).
gc.disable()

# Time says nothing on a shared machine; in CI the same examples come every time.
settings.register_profile(
    "minebench",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("minebench")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
MINEBENCH = Path(sys.executable).parent / "minebench"
COMPARED = ("cva", "fc-siam-diff", "unet")
STAGES = ("sites", "archive", "fetch", "compose", "annotate", "tile", "catalog")
Run = Callable[..., subprocess.CompletedProcess[str]]

PARAMS = """\
benchmarks: [tiny]
workers: 1
models: [cva, fc-siam-diff, unet]
train:
  cva: {}
  fc-siam-diff: {steps: 4, batch: 2, crop: 32, validate_every: 2, validation_items: 4, options: {width: 4}}
  unet: {steps: 4, batch: 2, crop: 32, validate_every: 2, validation_items: 4, options: {width: 4}}
evaluate: {threshold: 0.5}
"""
MINES = """\
name,lon,lat,production
Alpha,14.223,51.630,coal
Beta,23.800,40.900,quarry
Gamma,-69.200,-24.300,metal
"""
RECIPE = """\
title: tiny (synthetic)
sensor:
  bands: [B02, B03, B04, B08, B11]
  rgb: [B04, B03, B02]
  resolution: 10
  snap: 20
source: {name: synthetic, seed: 3, scenes_per_period: 4}
periods: {unit: year, start: "2021", end: "2023"}
selection:
  policy: composite
  season: {north: [6, 8], south: [12, 2]}
  min_clear: 0.2
  min_period_clear: 0.5
sites: {mines: mines.csv, geometry: extent, point_radius_m: 400, buffer_m: 90, min_size_m: 960}
labels: {source: archive}
tiling: {size: 64}
pairs: all
split: {train: 0.34, val: 0.33, test: 0.33}
citation: synthetic, for tests
"""


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the real `minebench` in a project's folder, in a process of its own (`tests.forks`); should it
    crash, its stack is on stderr."""
    return FORKS.run(list(words), cwd, timeout=300)


def make_project(folder: Path, recipe: str = RECIPE, mines: str = MINES, workers: int = 1) -> Path:
    """A project with one benchmark, `tiny`, and nothing built.

    One worker, as several tests run at once; tests of processes for sites ask for two."""
    benchmark = folder / "catalogs" / "tiny"
    (benchmark / "mines").mkdir(parents=True)
    (benchmark / "annotations").mkdir()
    (benchmark / "annotations" / "README.md").write_text("none\n")
    (benchmark / "mines" / "mines.csv").write_text(mines)
    (benchmark / "recipe.yaml").write_text(recipe)
    (folder / "params.yaml").write_text(PARAMS.replace("workers: 1", f"workers: {workers}"))
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project after every stage up to `catalog`; treat it as read-only."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    project = base / "built"
    with FileLock(str(base / "built.lock")):
        if not (project / "DONE").exists():
            make_project(project)
            for stage in STAGES:
                done = run(stage, cwd=project)
                assert done.returncode == 0, done.stderr
            (project / "DONE").touch()
    return project


def made_once(
    name: str, source: Path, commands: Sequence[Sequence[str]], factory: pytest.TempPathFactory
) -> Path:
    """A copy of a project after these commands, the same for all workers."""
    base = factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    project = base / name
    with FileLock(str(base / f"{name}.lock")):
        if not (project / "DONE").exists():
            shutil.rmtree(project, ignore_errors=True)
            shutil.copytree(source, project, ignore=shutil.ignore_patterns("DONE"))
            for words in commands:
                done = run(*words, cwd=project)
                assert done.returncode == 0, (words, done.stderr)
            (project / "DONE").touch()
    return project


@pytest.fixture(scope="session")
def active(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project with its activity in catalog and report; treat it as read-only."""
    return made_once("active", built, [["activity"], ["catalog"], ["report"]], tmp_path_factory)


@pytest.fixture(scope="session")
def compared(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project with three models trained, scored, compared, published and explained; treat it as
    read-only."""
    commands = [[stage, "--model", model] for model in COMPARED for stage in ("train", "evaluate")]
    commands += [["compare"], ["catalog"], ["report"], ["check"]]
    commands += [[stage, "--model", model] for model in COMPARED for stage in ("predict", "explain")]
    return made_once("compared", built, commands, tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def _forks() -> Iterator[None]:
    """The process that commands are forked from ends with the session."""
    yield
    FORKS.stop()


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the built tiny project to change. Its images are links, which minebench replaces and never
    writes through; a test that damages one removes it first."""
    folders = [built / "data/tiny" / name for name in ("archive", "scenes")]
    images = {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*.tif")}
    yield Path(shutil.copytree(built, tmp_path / "project", copy_function=_link_images))
    written = [path for path, when in images.items() if path.stat().st_mtime_ns != when]
    assert not written, f"written through a link into the project that all tests share: {written}"


def with_processes(project: Path) -> Path:
    """Give a project two workers, so that its sites are worked on in processes; return it."""
    path = project / "params.yaml"
    text = path.read_text()
    assert "workers: 1\n" in text
    path.write_text(text.replace("workers: 1\n", "workers: 2\n"))
    return project


def _link_images(source: str, target: str) -> None:
    if source.endswith(".tif") and {"archive", "scenes"} & set(Path(source).parts):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def project_to_label(built: Path, folder: Path) -> Path:
    """The tiny project, to be labelled by hand: no label needs the archive or the scenes as they were
    fetched."""
    ignored = shutil.ignore_patterns("archive", "scenes")
    project = Path(shutil.copytree(built, folder, ignore=ignored))
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("source: archive", "source: annotations"))
    return project


@pytest.fixture
def labelled(built: Path, tmp_path: Path) -> Path:
    return project_to_label(built, tmp_path / "project")


@pytest.fixture(scope="session")
def executor() -> Iterator[Executor]:
    """A thread that makes the images of a labelling session; the studio has a process."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest file, which does without `built`: meanwhile another worker makes that. End with
    `tests/zoo`, whose units are short, so that workers end at once."""
    items.sort(key=lambda item: ("zoo" in item.path.parts, item.path.name != "test_dvc.py"))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


class ByFile(LoadScopeScheduling):
    """Give a worker all tests of a file, for its fixtures' sake; those of `tests/zoo`, where no fixture takes
    long, by network.

    In place of `--dist loadgroup`, which groups nothing with pytest 9.2 (pytest-xdist issue 1386)."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return file + test[test.find("[") :] if file.startswith("tests/zoo/") and "[" in test else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture
def empty_project(tmp_path: Path) -> Path:
    """The tiny project with nothing built."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, where the machine has it."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is not here: {SHARED}")
    return SHARED


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines on stderr, but those of progress, which there are only where a machine is slow."""
    return [line for line in done.stderr.splitlines() if not re.match(r"[\w-]+: [\d,]+ of [\d,]+ ", line)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
