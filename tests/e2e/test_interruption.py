"""Kills at random points, damaged files: what is finished at last is as if nothing had happened."""

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from minebench.layout import BenchmarkPaths
from tests.conftest import complaints, contents, run, with_processes
from tests.forks import FORKS

KILLS = 6
"""Of each stage; `make chaos` has hundreds, of every command."""
OUTPUTS = {"fetch": ("scenes", "index/scenes.parquet"), "compose": ("cubes", "index/composites.parquet")}


@pytest.fixture
def project(project: Path) -> Path:
    return with_processes(project)


def wipe(project: Path, stage: str) -> None:
    for name in OUTPUTS[stage]:
        path = project / "data/tiny" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("stage", ["fetch", "compose"])
def test_killed_at_random_and_run_again(project: Path, stage: str) -> None:
    """Each kill must catch the stage at work; a stage that finished first starts over and does not
    count."""
    folder = project / "data/tiny" / OUTPUTS[stage][0]
    reference = contents(project / "data/tiny" / "scenes"), contents(project / "data/tiny" / "index")
    if stage == "compose":
        wipe(project, stage)
        assert run("compose", cwd=project).returncode == 0
        reference = contents(folder), contents(project / "data/tiny" / "index")
    wipe(project, stage)
    rng, kills = random.Random(7), 0
    while kills < KILLS:
        command = FORKS.begin([stage], project)
        while command.is_running() and not folder.is_dir():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.0))
        if command.is_running():
            command.kill()
        status = command.wait()
        if status != -signal.SIGKILL:
            assert status == 0
            wipe(project, stage)
            continue
        kills += 1
    done = run(stage, cwd=project)
    assert done.returncode == 0, done.stderr
    assert contents(folder) == reference[0]
    assert contents(project / "data/tiny" / "index") == reference[1]


def test_damaged_fetches_are_found_and_fetched_again(project: Path) -> None:
    """`compose` names what is damaged, and `fetch` mends it."""
    benchmark = BenchmarkPaths("tiny", project)
    before = contents(benchmark.data / "scenes")
    site = sorted((benchmark.data / "scenes").iterdir())[0]
    victim = sorted(site.glob("*_10m.tif"))[0]
    content = victim.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    shutil.rmtree(benchmark.data / "cubes" / f"{site.name}.zarr")
    for damaged in (content[:100], flipped, None):
        victim.unlink()  # a link
        if damaged is not None:
            victim.write_bytes(damaged)
        failed = run("compose", cwd=project)
        assert failed.returncode == 1
        assert f"{victim.name} is missing or damaged: run `minebench fetch`" in failed.stderr
        assert len(complaints(failed)) == 1
        is_mended_by_fetch(project)
        assert contents(benchmark.data / "scenes") == before
    with (site / "SHA256SUMS").open("a") as file:
        file.write("0123 torn")
    is_mended_by_fetch(project)


def is_mended_by_fetch(project: Path) -> None:
    done = run("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    assert run("fetch", cwd=project).stdout.startswith("fetch: all sites are up to date\n")


def test_two_runs_make_the_same_bytes(project: Path) -> None:
    before = contents(project / "data/tiny"), contents(project / "catalogs/tiny/stac")
    for name in ("scenes", "cubes", "index"):
        shutil.rmtree(project / "data/tiny" / name)
    shutil.rmtree(project / "catalogs/tiny/stac")
    for stage in ("sites", "fetch", "compose", "annotate", "tile", "catalog"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    after = contents(project / "data/tiny"), contents(project / "catalogs/tiny/stac")
    for first, second in zip(before, after, strict=True):
        logs = {name for name in {*first, *second} if name.startswith("logs/")}
        kept = [{k: v for k, v in files.items() if k not in logs} for files in (first, second)]
        assert kept[0]
        assert kept[0] == kept[1]
