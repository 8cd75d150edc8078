"""What several files of tests share: the tiny project with activity, and with models."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import run

MODELS = ("cva", "fc-siam-diff", "unet")


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
    commands = [[stage, "--model", model] for model in MODELS for stage in ("train", "evaluate")]
    commands += [["compare"], ["catalog"], ["report"], ["check"]]
    commands += [[stage, "--model", model] for model in MODELS for stage in ("predict", "explain")]
    return made_once("compared", built, commands, tmp_path_factory)
