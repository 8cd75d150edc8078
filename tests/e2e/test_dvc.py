"""`dvc repro` in a project of its own: the repository's dvc.yaml, the tiny benchmark, real DVC."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import MINES, ROOT, make_project

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def sh(command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository after its first `dvc repro`."""
    folder = make_project(tmp_path_factory.mktemp("dvc"), mines=MINES + "Delta,26.400,62.800,metal\n")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("pipeline", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    sh("git init -q && dvc init -q && git add -A && git commit -qm start", folder)
    sh("dvc repro", folder)
    return folder


def check_every_stage_ran_and_the_report_is_there(repository: Path) -> None:
    page = (repository / "data/tiny/report/index.html").read_text()
    assert "All imagery here is synthetic" in page
    assert "fc-siam-diff" in page
    assert 'src="http' not in page
    assert "<script" not in page


def check_a_second_repro_does_nothing(repository: Path) -> None:
    assert "Running stage" not in sh("dvc repro", repository)


def check_dag_metrics_plots_and_params(repository: Path) -> None:
    assert "compose@tiny" in sh("dvc dag", repository)
    shown = json.loads(sh("dvc metrics show --json", repository))
    assert set(shown[""]["data"]) == {
        f"data/tiny/runs/{m}/metrics.json" for m in ("cva", "fc-siam-diff", "unet")
    }
    sh("dvc plots show -o plots", repository)
    page = (repository / "plots/index.html").read_text()
    assert "scores.csv" in page
    assert "val_loss" in page
    shutil.rmtree(repository / "plots")
    recipe = repository / "catalogs/tiny/recipe.yaml"
    before = recipe.read_text()
    recipe.write_text(before.replace("min_clear: 0.2", "min_clear: 0.25"))
    changed = sh("dvc params diff", repository)
    recipe.write_text(before)
    assert "selection.min_clear" in changed


def check_a_remote_takes_and_gives_back(repository: Path, tmp_path: Path) -> None:
    sh(f"dvc remote add -f -d here {tmp_path / 'remote'} && dvc push", repository)
    cubes = repository / "data/tiny/cubes"
    before = {p.relative_to(cubes): p.read_bytes() for p in cubes.rglob("*") if p.is_file()}
    shutil.rmtree(cubes)
    shutil.rmtree(repository / ".dvc/cache")
    sh("dvc pull", repository)
    assert {p.relative_to(cubes): p.read_bytes() for p in cubes.rglob("*") if p.is_file()} == before


def check_one_more_mine_fetches_and_composes_only_that_mine(repository: Path) -> None:
    mines = repository / "catalogs/tiny/mines/mines.csv"
    ids = set(pd.read_parquet(repository / "data/tiny/index/sites.parquet").site_id)
    times = {p: p.stat().st_mtime_ns for p in (repository / "data/tiny/cubes").rglob("reflectance/c/**/0")}
    mines.write_text(mines.read_text() + "Epsilon,29.400,-25.900,coal\n")
    said = sh("dvc repro", repository)
    for stage in (
        "archive: made",
        "fetch: fetched",
        "compose: composed",
        "annotate: annotated",
        "catalog: wrote",
    ):
        assert f"{stage} 1 site" in said, said
    assert set(pd.read_parquet(repository / "data/tiny/index/sites.parquet").site_id) > ids
    assert times
    assert {p: p.stat().st_mtime_ns for p in times} == times
    # And taking it away again leaves nothing of it behind.
    mines.write_text(mines.read_text().replace("Epsilon,29.400,-25.900,coal\n", ""))
    sh("dvc repro tile@tiny activity@tiny", repository)
    assert not list((repository / "data/tiny").glob("*/epsilon*"))


def check_a_smoothed_model_is_a_stage_too(repository: Path) -> None:
    params = repository / "params.yaml"
    text = params.read_text()
    changed = text.replace("fc-siam-diff, unet]", "fc-siam-diff, unet, unet-hmm]")
    params.write_text(changed.replace("train:\n", "train:\n  unet-hmm: {}\n"))
    said = sh("dvc repro compare@tiny", repository)
    assert "Running stage 'train@tiny-unet-hmm'" in said
    board = pd.read_parquet(repository / "data/tiny/leaderboard/models.parquet")
    assert "unet-hmm" in set(board.run)
    assert "Running stage" not in sh("dvc repro compare@tiny", repository)


def test_dvc(repository: Path, tmp_path: Path) -> None:
    """One repository through all of it, in this order: building it takes most of the time."""
    check_every_stage_ran_and_the_report_is_there(repository)
    check_a_second_repro_does_nothing(repository)
    check_dag_metrics_plots_and_params(repository)
    check_a_remote_takes_and_gives_back(repository, tmp_path)
    check_one_more_mine_fetches_and_composes_only_that_mine(repository)
    check_a_smoothed_model_is_a_stage_too(repository)
