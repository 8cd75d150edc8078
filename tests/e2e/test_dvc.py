"""`dvc repro` in a project of its own: the repository's dvc.yaml, the tiny benchmark, real DVC."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pystac
import pytest
import rasterio
import yaml

from tests.chaos import ask, studio
from tests.conftest import MINEBENCH, RECIPE, ROOT, contents, make_project
from tests.forks import CLI, FORKS

STAGES = (
    "sites@tiny", "archive@tiny", "fetch@tiny", "compose@tiny", "annotate@tiny", "tile@tiny",
    "train@tiny-unet", "evaluate@tiny-unet", "compare@tiny", "activity@tiny", "catalog@tiny",
    "report@tiny",
)  # fmt: skip
KINDS = ("archive@tiny", "tile@tiny", "train@tiny-unet", "report@tiny")
"""Work in processes, tables, a model, a page; the slow test interrupts all stages."""
SENTENCE = "minebench: Interrupted; run the same command again to go on.\n"
MODELS = ("cva", "unet")
DVC = str(Path(sys.executable).with_name("dvc"))
"""The console script, which is interrupted."""

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@pytest.fixture
def forked_commands(tmp_path: Path) -> dict[str, str]:
    """An environment in which `dvc` and `minebench` run as forks, for what nobody interrupts; the command of
    `minebench` named in ALONE is the console script."""
    scripts = tmp_path / "bin"
    scripts.mkdir()
    alone = f'[ "$1" = "$ALONE" ] && exec {MINEBENCH} "$@"\n'
    for name, before, module in (("minebench", alone, CLI), ("dvc", "", "dvc")):
        script = scripts / name
        script.write_text(f'#!/bin/sh\n{before}exec {shlex.join(FORKS.module(module))} "$@"\n')
        script.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{scripts}:{ENVIRONMENT['PATH']}"}


def sh(command: str, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def repository(forked_commands: dict[str, str], tmp_path: Path) -> Path:
    """A git repository with DVC and a small benchmark with one model, and nothing built."""
    recipe = RECIPE.replace("scenes_per_period: 4", "scenes_per_period: 3")
    folder = make_project(tmp_path / "dvc", recipe.replace('start: "2021"', 'start: "2022"'), workers=2)
    set_models(folder, "unet")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("minebench", "pipeline", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    sh("git init -q && dvc init -q && git add -A && git commit -qm start", folder, forked_commands)
    return folder


def set_models(repository: Path, *names: str) -> None:
    params = repository / "params.yaml"
    content = yaml.safe_load(params.read_text())
    content["models"] = list(names)
    content["train"] |= {name: {} for name in names if name not in content["train"]}
    params.write_text(yaml.safe_dump(content, sort_keys=False))


def working(dvc: subprocess.Popen[str], log: Path) -> psutil.Process | None:
    """Return the command of ours that DVC has started, once it has its log open; None where DVC ended."""
    while dvc.poll() is None:
        processes = psutil.Process(dvc.pid).children(recursive=True) if log.exists() else []
        for process in processes:
            try:
                if process.name() == "minebench":
                    return process
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.01)
    return None


def check_an_interrupted_stage_is_run_again(
    repository: Path, stages: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Each of these stages is interrupted at its work, by both signals in turn, and nothing interrupted is
    taken for done; on the way to the next it is run to its end."""
    before, lock = "", repository / "dvc.lock"
    for place, stage in enumerate(stages):
        name = stage.partition("@")[0] + ("-unet" if "unet" in stage else "")
        log = repository / f"data/tiny/logs/{name}.log"
        log.unlink(missing_ok=True)
        dvc = subprocess.Popen(
            [DVC, "repro", stage], cwd=repository, env={**environment, "ALONE": stage.partition("@")[0]},
            text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        command = working(dvc, log)
        assert command is not None, dvc.communicate()[0]
        if place % 2:
            command.send_signal(signal.SIGTERM)
        else:
            os.killpg(dvc.pid, signal.SIGINT)  # what a terminal does
        said, _ = dvc.communicate(timeout=60)
        assert dvc.returncode != 0, said
        assert SENTENCE in said
        assert "Traceback" not in said
        assert not lock.exists() or stage not in yaml.safe_load(lock.read_text())["stages"]
        # The activity does not wait for the comparison, nor the report for the catalog.
        assert f"Running stage '{before}'" in said or before in ("", "compare@tiny", "catalog@tiny")
        before = stage
    set_models(repository, *MODELS)
    said = sh("dvc repro", repository, environment)
    assert "Running stage 'catalog@tiny'" in said
    assert "Running stage 'report@tiny'" in said
    assert set(yaml.safe_load(lock.read_text())["stages"]) == {*STAGES, "train@tiny-cva", "evaluate@tiny-cva"}


def check_every_stage_ran_and_the_report_is_there(repository: Path) -> None:
    page = (repository / "data/tiny/report/index.html").read_text()
    assert "All imagery here is synthetic" in page
    assert all(model in page for model in MODELS)
    assert 'src="http' not in page
    assert "<script" not in page


def check_dag_metrics_plots_and_params(repository: Path, environment: dict[str, str]) -> None:
    assert "compose@tiny" in sh("dvc dag", repository, environment)
    shown = json.loads(sh("dvc metrics show --json", repository, environment))
    assert set(shown[""]["data"]) == {f"data/tiny/runs/{model}/metrics.json" for model in MODELS}
    sh("dvc plots show -o plots", repository, environment)
    page = (repository / "plots/index.html").read_text()
    assert "scores.csv" in page
    assert "val_loss" in page
    shutil.rmtree(repository / "plots")
    recipe = repository / "catalogs/tiny/recipe.yaml"
    before = recipe.read_text()
    recipe.write_text(before.replace("min_clear: 0.2", "min_clear: 0.25"))
    changed = sh("dvc params diff", repository, environment)
    recipe.write_text(before)
    assert "selection.min_clear" in changed


def share(repository: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """What no stage makes, a prediction, a scored submission and a session of labelling, and then README's
    lines."""
    given = tmp_path / "given"
    sh(f"minebench predict --model unet && minebench score --template {given}", repository, environment)
    for path in given.glob("*.tif"):
        with rasterio.open(path, "r+") as file:
            file.write(np.zeros((1, *file.shape), np.uint8))
    sh(f"minebench score {given} --name alice", repository, environment)
    label(repository)
    sh("dvc add data/tiny/predictions data/tiny/runs/alice && dvc repro", repository, environment)
    sh("git add catalogs data params.yaml dvc.lock .dvc && git commit -qm built", repository, environment)
    sh(f"dvc remote add -f -d here {tmp_path / 'remote'} && git commit -qam remote", repository, environment)
    sh("dvc push", repository, environment)


def label(repository: Path) -> None:
    """Say of one date of a site, in the studio, that there is no mine."""
    site = next((repository / "data/tiny/cubes").glob("*.zarr")).stem
    with studio(repository) as (address, _):
        subject = ask(f"{address}site/{site}")["subjects"][0]
        version = ask(f"{address}site/{site}/state")["version"]
        step = {"step": "mark", "subject": subject, "mark": "nothing", "by": "alice", "seconds": 1}
        ask(f"{address}site/{site}/step", {**step, "seen": version})


def check_a_clone_has_everything(repository: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """A colleague's `git clone` and `dvc pull`: the same files, nothing to do, a whole catalog."""
    share(repository, environment, tmp_path)
    clone = tmp_path / "clone"
    sh(f"git clone -q {repository} {clone}", tmp_path, environment)
    sh("dvc pull", clone, environment)
    ours, theirs = (
        {name: content for name, content in contents(folder).items() if "/logs/" not in name}
        for folder in (repository / "data", clone / "data")
    )
    assert theirs == ours
    annotations = contents(clone / "catalogs/tiny/annotations")
    assert annotations == contents(repository / "catalogs/tiny/annotations")
    assert {Path(name).suffix for name in annotations} >= {".gpkg", ".jsonl"}
    assert any("predictions/unet" in name for name in theirs)
    assert "Data and pipelines are up to date" in sh("dvc status", clone, environment)
    assert "Running stage" not in sh("dvc repro", clone, environment)
    assert "files are as published" in sh("minebench check", clone, environment)
    root = pystac.Catalog.from_file(str(clone / "catalogs/tiny/stac/catalog.json"))
    titles = {link.title for link in root.get_child_links()}
    assert {"Models", "Predictions", "Activity"} <= titles
    assert list(root.get_items(recursive=True))
    check_dag_metrics_plots_and_params(clone, environment)
    # What belongs to git is not ignored by it.
    for name in (
        "catalogs/tiny/annotations/alpha.gpkg",
        "data/tiny/predictions.dvc",
        "data/tiny/runs/alice.dvc",
    ):
        ignored = subprocess.run(["git", "check-ignore", "-q", name], cwd=clone, check=False)
        assert ignored.returncode == 1, name


def check_another_mine_and_one_more_model_redo_only_what_is_new(
    repository: Path, environment: dict[str, str]
) -> None:
    """Only the new site is fetched and composed; tables and models, which are made of all sites, are made
    again. Nothing is left of a mine that was taken away."""
    mines = repository / "catalogs/tiny/mines/mines.csv"
    ids = set(pd.read_parquet(repository / "data/tiny/index/sites.parquet").site_id)
    chunks = (repository / "data/tiny/cubes").rglob("reflectance/c/**/0")
    times = {path: path.stat().st_mtime_ns for path in chunks if "gamma" not in str(path)}
    assert list((repository / "data/tiny").glob("*/gamma*"))
    gamma = "Gamma,-69.200,-24.300,metal\n"
    assert gamma in mines.read_text()
    mines.write_text(mines.read_text().replace(gamma, "Epsilon,29.400,-25.900,coal\n"))
    set_models(repository, *MODELS, "unet-hmm")
    said = sh("dvc repro", repository, environment)
    for stage in (
        "archive: made",
        "fetch: fetched",
        "compose: composed",
        "annotate: annotated",
        "catalog: wrote",
    ):
        assert f"{stage} 1 site" in said, said
    now = set(pd.read_parquet(repository / "data/tiny/index/sites.parquet").site_id)
    assert [site.partition("-")[0] for site in now - ids] == ["epsilon"]
    assert [site.partition("-")[0] for site in ids - now] == ["gamma"]
    assert not list((repository / "data/tiny").glob("*/gamma*"))
    assert times
    assert {p: p.stat().st_mtime_ns for p in times} == times
    # A smoothed model is a stage too.
    assert "Running stage 'train@tiny-unet-hmm'" in said
    board = pd.read_parquet(repository / "data/tiny/leaderboard/models.parquet")
    assert set(board.run) == {*MODELS, "unet-hmm"}
    assert "Running stage" not in sh("dvc repro", repository, environment)


def test_dvc(repository: Path, forked_commands: dict[str, str], tmp_path: Path) -> None:
    """One repository through all of it, in this order: building it takes most of the time."""
    check_an_interrupted_stage_is_run_again(repository, KINDS, forked_commands)
    check_every_stage_ran_and_the_report_is_there(repository)
    check_a_clone_has_everything(repository, forked_commands, tmp_path)
    check_another_mine_and_one_more_model_redo_only_what_is_new(repository, forked_commands)


@pytest.mark.slow
def test_every_stage_interrupted(repository: Path, forked_commands: dict[str, str]) -> None:
    check_an_interrupted_stage_is_run_again(repository, STAGES, forked_commands)
