"""The command line itself: its version, help, names and mistakes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minebench import __version__
from models import registry
from pipeline.cli.app import app
from tests.conftest import MINEBENCH, run

COMMANDS = [str(command.callback.__name__) for command in app.registered_commands if command.callback]


def test_version(empty_project: Path) -> None:
    assert run("--version", cwd=empty_project).stdout == f"minebench {__version__}\n"


def test_without_a_word_it_shows_the_help_and_no_mistake(empty_project: Path) -> None:
    done = run(cwd=empty_project)
    assert done.returncode == 2
    assert "Usage: minebench" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_it_understands(command: str, empty_project: Path) -> None:
    done = run(command, "--help", cwd=empty_project)
    text = " ".join(done.stdout.split())
    match = re.search(rf"Example: minebench ({command}[^│]*)$", text)
    assert match, text
    options = re.findall(r"--[a-z-]+", match[1])
    assert all(option in text.partition("Example:")[0] for option in options)


def test_models_are_listed_with_their_size(empty_project: Path) -> None:
    done = run("models", cwd=empty_project)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert list(rows) == [*registry.names("change"), *registry.names("segmentation")]
    assert "0.28 M" in rows["tinycd"] or "0.29 M" in rows["tinycd"]
    assert "Codegoni" in rows["tinycd"]
    assert run("models", "--task", "x", cwd=empty_project).returncode == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("browse", "--port", "99999"), "less than or equal to 65535; see `minebench browse --help`"),
        (("train", "--model", "tiny"), "did you mean tinycd? `minebench models` lists all 61."),
        (("train", "--model", "qqqq"), "There is no model 'qqqq': `minebench models` lists all 61."),
        (("fetsh",), "Did you mean 'fetch'?; see `minebench --help`"),
        (("fetch", "--benchmrk", "x"), "see `minebench fetch --help`"),
    ],
)
def test_mistakes_name_the_way_out(empty_project: Path, words: tuple[str, ...], says: str) -> None:
    done = run(*words, cwd=empty_project)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_all_folds_are_named(project: Path) -> None:
    done = run("train", "--model", "unet", "--fold", "kfold/99", cwd=project)
    assert done.returncode == 2
    for fold in ("kfold/0", "kfold/2", "country/CHL", "country/DEU", "country/GRC"):
        assert fold in done.stderr


def test_a_long_training_on_a_cpu_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.training import train
    from models.training.settings import Settings

    said: list[str] = []
    monkeypatch.setattr(train, "LONG_S", 0.0)
    monkeypatch.setattr(sys.stderr, "write", said.append)
    given = {"steps": 5, "batch": 2, "crop": 32, "options": {"width": 4}}
    train.train(project / "data/tiny", "fc-siam-diff", Settings.of(given, "fc-siam-diff"))
    text = "".join(said)
    assert "fc-siam-diff will take about" in text
    assert "5 steps of 2 items of 32 x 32 pixels" in text
    assert "train.fc-siam-diff in params.yaml, or train on a GPU" in text


def test_a_shell_completes_benchmarks_and_models(empty_project: Path) -> None:
    for words, wanted in (
        ("minebench train --model fc-siam-", "fc-siam-diff"),
        ("minebench sites -b t", "tiny"),
    ):
        *_, begun = words.split(" ")
        environment = {**os.environ, "_MINEBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words,
                       "COMP_CWORD": str(len(words.split(" ")) - 1)}  # fmt: skip
        done = subprocess.run([MINEBENCH], cwd=empty_project, env=environment, capture_output=True, text=True)
        assert wanted in done.stdout.split(), (begun, done.stderr)


def test_the_last_line_says_what_is_next_but_not_to_dvc(empty_project: Path) -> None:
    done = run("sites", cwd=empty_project)
    assert done.stdout.splitlines()[-1] == "next: minebench archive --benchmark tiny"
    told = subprocess.run(
        [MINEBENCH, "sites"], cwd=empty_project, env={**os.environ, "DVC_STAGE": "sites@tiny"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "next:" not in told.stdout


def test_machines_read_one_object(project: Path) -> None:
    for words, wanted in ((("sites", "--json"), "account"), (("check", "--json"), "files")):
        assert wanted in json.loads(run(*words, cwd=project).stdout)
    models = json.loads(run("models", "--task", "segmentation", "--json", cwd=project).stdout)
    assert {"name": "unet", "task": "segmentation"}.items() <= models["models"][0].items()
    assert [model["name"] for model in models["models"]] == list(registry.names("segmentation"))
