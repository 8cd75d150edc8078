import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest


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
    with ThreadPoolExecutor(1) as pool:
        yield pool
