"""A benchmark on a disk that can only be read: another one's, an archive. What looks at it works."""

import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from minebench.layout import BenchmarkPaths
from pipeline import recipe as recipes
from pipeline.scoring import expected, template
from tests.conftest import MINEBENCH, contents, project_to_label, run
from tests.e2e.test_machine import NAMESPACE


@pytest.fixture(scope="module")
def closed(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a catalog, scores and the viewer's data; it is mounted read-only by `words_in`."""
    if subprocess.run([*NAMESPACE, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make mount namespaces")
    folder = tmp_path_factory.mktemp("closed") / "project"
    shutil.copytree(compared, folder, ignore=shutil.ignore_patterns("archive", "logs"))
    for words in (["catalog"], ["publish", str(folder.parent / "published")]):
        done = run(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(folder / "data/tiny/logs")
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def command(project: Path, *words: str) -> list[str]:
    """A command of ours in a namespace in which the project can only be read."""
    mount = f"mount --bind {project} {project} && mount -o remount,bind,ro {project} && cd {project}"
    return [*NAMESPACE, f'{mount} && exec "$0" "$@"', str(MINEBENCH), *words]


def said(project: Path, *words: str) -> str:
    done = subprocess.run(command(project, *words), capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_checked_and_exported(closed: Path, tmp_path: Path) -> None:
    assert "files are as published" in said(closed, "check")
    said(closed, "export", "--to", "folders", "--out", str(tmp_path / "out"))
    assert list((tmp_path / "out").rglob("*.png"))


def test_submissions_are_scored_and_not_kept(closed: Path, tmp_path: Path) -> None:
    benchmark = BenchmarkPaths("tiny", closed)
    wanted = expected.of(benchmark, recipes.load(benchmark.recipe), "test", "segmentation")
    template.write(wanted, tmp_path / "given")
    for path in (tmp_path / "given").glob("*.tif"):
        with rasterio.open(path, "r+") as file:
            file.write(np.zeros((1, *file.shape), np.uint8))
    told = said(closed, "score", str(tmp_path / "given"), "--name", "nothing")
    assert "score: nothing (segmentation) F1 0.000" in told
    assert "can only be read: no run was written" in told


def look(project: Path, *words: str) -> None:
    """Ask a server of ours for its first page."""
    with subprocess.Popen(
        command(project, *words, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        line = server.stdout.readline()
        assert "http://127.0.0.1" in line, line + server.stderr.read()
        address = line.partition("http://")[2].split()[0]
        with urllib.request.urlopen(f"http://{address}", timeout=20) as page:
            assert page.status == 200
        server.terminate()


def test_it_is_looked_at_in_a_browser(closed: Path) -> None:
    look(closed, "browse")


def test_its_labels_are_looked_at(closed: Path, built: Path, tmp_path: Path) -> None:
    look(project_to_label(built, tmp_path / "project"), "label")


def test_what_has_to_write_says_so(closed: Path) -> None:
    done = subprocess.run(
        command(closed, "compose"), capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 1
    assert "can only be read" in done.stderr
