"""What the machine can refuse: full and closed disks, limits, folders that vanish. One sentence each, and a
clean run afterwards. Disks are mounted in a namespace of the command's own, so no right is needed."""

import errno
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minebench.errors import OutOfMemory, explained
from tests.conftest import MINEBENCH, contents, run, with_processes

SLOW = pytest.mark.slow
WRITES = {"archive": "archive", "fetch": "scenes", "compose": "cubes", "annotate": "cubes", "tile": "index"}
NAMESPACE = ("unshare", "-rm", "sh", "-c")


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if subprocess.run([*NAMESPACE, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make mount namespaces")


@pytest.fixture
def project(project: Path) -> Path:
    return with_processes(project)


def results(project: Path) -> dict[str, bytes]:
    found = contents(project / "data/tiny")
    return {name: content for name, content in found.items() if name.partition("/")[0] != "logs"}


def under(script: str, stage: str, project: Path) -> subprocess.CompletedProcess[str]:
    """Run a stage after a line of shell in a namespace of its own."""
    return subprocess.run(
        [*NAMESPACE, f'{script} && exec "$0" "$1"', str(MINEBENCH), stage],
        cwd=project, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def emptied(project: Path, stage: str) -> Path:
    """The folder that a stage writes to, without what it made."""
    folder = project / "data/tiny" / WRITES[stage]
    if stage == "tile":
        for name in ("tiles", "pairs", "tile_periods"):
            (folder / f"{name}.parquet").unlink()
    elif stage == "annotate":
        for mine in folder.glob("*/mine"):
            shutil.rmtree(mine)
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    return folder


def refused(script: str, stage: str, project: Path) -> str:
    """The one sentence in which a stage ends after a line of shell; a run afterwards makes what was there."""
    before = results(project)
    done = under(script.format(folder=emptied(project, stage)), stage, project)
    said = [line for line in done.stderr.splitlines() if not line.startswith(f"{stage}: ")]  # but progress
    assert done.returncode == 1, done.stderr
    assert len(said) == 1
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    finished_as(before, stage, project)
    return said[0]


def finished_as(before: dict[str, bytes], stage: str, project: Path) -> None:
    """The stage again, and `annotate`, which completes the cubes, make what was there."""
    for again in (stage, "annotate"):
        done = run(again, cwd=project)
        assert done.returncode == 0, done.stderr
    assert results(project) == before


@pytest.mark.parametrize(
    "stage", [pytest.param("archive", marks=SLOW), "fetch", pytest.param("compose", marks=SLOW)]
)
def test_a_full_disk(project: Path, stage: str) -> None:
    said = refused("mount -t tmpfs -o size=64k tmpfs {folder}", stage, project)
    assert "the disk is full" in said or "is the disk full?" in said


@pytest.mark.parametrize(
    "stage", [*(pytest.param(name, marks=SLOW) for name in WRITES if name != "tile"), "tile"]
)
def test_a_folder_that_can_only_be_read(project: Path, stage: str) -> None:
    said = refused("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}", stage, project)
    assert "can only be read" in said or "could not write" in said


@pytest.mark.parametrize(
    "stage", [*(pytest.param(name, marks=SLOW) for name in WRITES if name != "compose"), "compose"]
)
def test_a_file_size_limit(project: Path, stage: str) -> None:
    said = refused("ulimit -f 2", stage, project)
    assert "ulimit -f" in said or "could not write" in said


def test_a_project_that_cannot_be_written_at_all(project: Path) -> None:
    closed = f"mount --bind {project} {project} && mount -o remount,bind,ro {project} && cd {project}"
    done = under(closed, "compose", project)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "can only be read" in done.stderr


@pytest.mark.parametrize("stage", [pytest.param("fetch", marks=SLOW), "compose"])
def test_a_folder_that_vanishes(project: Path, stage: str) -> None:
    """Whatever had been done by then; a run afterwards makes the same bytes."""
    before = results(project)
    folder = emptied(project, stage)
    with subprocess.Popen([MINEBENCH, stage], cwd=project, stderr=subprocess.PIPE, text=True) as process:
        ends = time.monotonic() + 30
        while not any(folder.iterdir()) and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)
        _, err = process.communicate(timeout=100)
    assert process.returncode in (0, 1)
    assert "Traceback" not in err
    assert "defect" not in err
    finished_as(before, stage, project)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda: OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: the disk is full"),
        (
            lambda: OSError("[Errno 28] Error writing bytes to file. Detail: No space"),
            "A file: the disk is full",
        ),
        (lambda: PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: you may not"),
        (
            lambda: FileNotFoundError(errno.ENOENT, "No such file", "/x"),
            "/x: it is not there any more",
        ),
        (lambda: OSError(errno.EMFILE, "Too many open files", "/x"), "ulimit -n"),
    ],
)
def test_each_refusal_is_explained(error: Callable[[], Exception], said: str) -> None:
    found = explained(error())
    assert found is not None
    assert said in str(found)


def test_what_is_no_refusal_stays_a_defect() -> None:
    assert explained(ValueError("x")) is None
    assert isinstance(explained(MemoryError()), OutOfMemory)
