"""Building from Python: what commands do, in this process."""

import doctest
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from minebench.errors import WorkError
from pipeline import running
from tests.conftest import MINES


@pytest.fixture
def ours(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny benchmark under the name `ours`, in the folder we run in."""
    for folder in ("catalogs", "data"):
        (project / folder / "tiny").rename(project / folder / "ours")
    (project / "mines.csv").write_text(MINES)
    monkeypatch.chdir(project)
    return project


def test_examples_in_docstrings_run(ours: Path) -> None:
    shutil.rmtree(ours / "catalogs/ours/stac")  # its links are to the name that it had
    pipeline.run("catalog", "ours")
    results = doctest.testmod(running, extraglobs={"pipeline": pipeline})
    assert results.attempted >= 3
    assert results.failed == 0


def test_a_stage_logs_to_its_file_and_lets_go_of_its_lock(ours: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    cube = next((ours / "data/ours/cubes").glob("*.zarr/zarr.json"))
    cube.unlink()
    assert pipeline.run("compose", "ours") == 1
    assert cube.is_file()
    assert (ours / "data/ours/logs/compose.log").is_file()
    assert logging.getLogger().handlers == handlers
    program = (
        "import sys; from pathlib import Path; from pipeline.core import locks\n"
        "with locks.holding(Path('data/ours/logs/cubes.lock'), 'x'): print('taken', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ours, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "taken\n"
    with pytest.raises(WorkError, match="`minebench compose` of ours is at work already, process"):
        pipeline.run("compose", "ours")
    other.communicate("\n")
    assert pipeline.run("compose", "ours") == 0


def test_mistakes_are_sentences(ours: Path) -> None:
    with pytest.raises(ValueError, match="There is no stage 'x'; stages: sites, archive, fetch, "):
        pipeline.run("x", "ours")
    with pytest.raises(ValueError, match=r"There is no catalogs/nope/recipe\.yaml; benchmarks: ours"):
        pipeline.run("compose", "nope")
    with pytest.raises(ValueError, match="The stage train needs a model: give model="):
        pipeline.run("train", "ours")
    with pytest.raises(ValueError, match="The stage tile takes no model"):
        pipeline.run("tile", "ours", model="unet")


def test_a_runs_name_says_what_it_is_trained_on(ours: Path) -> None:
    """So many sites, and a smoothed run's own model first: as on the command line."""
    short = {"steps": 1, "batch": 1, "crop": 32, "validate_every": 1, "validation_items": 1,
             "options": {"width": 4}}  # fmt: skip
    weights = pipeline.run("train", "ours", model="unet@sites-1-hmm", **short)
    runs = ours / "data/ours/runs"
    assert weights.absolute() == runs / "unet@sites-1-hmm/model.pt"
    settings = json.loads((runs / "unet@sites-1/run.json").read_text())["settings"]
    assert settings["sites"] == 1
