"""Every notebook runs from top to bottom, over the tiny benchmark in place of the demo."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, built: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("catalogs", "data"):
        (project / name).mkdir(parents=True)
        shutil.copytree(built / name / "tiny", project / name / "demo", symlinks=True)
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "skip-test" not in cell.metadata.get("tags", [])]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(project)}}).execute()
    figures = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o]
    assert any("image/png" in output["data"] for output in figures)


def test_notebooks_are_committed_executed() -> None:
    for path in NOTEBOOKS:
        cells = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4).cells
        assert all(cell.execution_count for cell in cells if cell.cell_type == "code"), path
