"""Every notebook runs from top to bottom, over the tiny benchmark in place of the demo."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import PARAMS, ROOT, run
from tests.forks import FORKS

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module", autouse=True)
def _forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels, and the commands that notebooks start, do not import everything anew: see `tests.forks`."""
    folder = tmp_path_factory.mktemp("forked")
    FORKS.install(folder)
    kernel = folder / "kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    words = [*FORKS.module("ipykernel_launcher"), "--matplotlib=inline", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": words, "display_name": "Python 3", "language": "python"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        patch.setenv("JUPYTER_PATH", str(folder))
        yield


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, built: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("catalogs", "data"):
        (project / name).mkdir(parents=True)
        shutil.copytree(built / name / "tiny", project / name / "demo", symlinks=True)
    (project / "params.yaml").write_text(PARAMS.replace("[tiny]", "[demo]"))
    if "publish" in path.stem:  # its links are to the name that it had
        shutil.rmtree(project / "catalogs/demo/stac")
        assert run("catalog", cwd=project).returncode == 0
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project)}}).execute()
    figures = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o]
    assert any("image/png" in output["data"] for output in figures)


def test_notebooks_are_committed_executed() -> None:
    assert len(NOTEBOOKS) >= 5
    for path in NOTEBOOKS:
        cells = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4).cells
        assert all(cell.execution_count for cell in cells if cell.cell_type == "code"), path
