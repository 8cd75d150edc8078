"""Images without labels: `dvc repro` passes the models over, and publishes the rest."""

import json
from pathlib import Path

from models.evaluation import runs
from tests.conftest import run


def test_models_are_passed_over_and_the_rest_is_made(project: Path) -> None:
    recipe = project / "catalogs/tiny/recipe.yaml"
    labelled = recipe.read_text()
    recipe.write_text(labelled.replace("labels: {source: archive}", "labels: {source: none}"))
    said = []
    commands: tuple[tuple[str, ...], ...] = (
        ("annotate",), ("tile",), ("train", "--model", "unet", "--if-labelled"),
        ("evaluate", "--model", "unet", "--if-labelled"), ("compare",), ("activity",), ("catalog",),
        ("report",), ("publish", "out"),
    )  # fmt: skip
    for words in commands:
        done = run(*words, cwd=project)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[2].startswith("train: tiny has no labels: there is nothing to learn\n")
    assert said[3].startswith("evaluate: tiny has no labels: there is nothing to score\n")
    for text in said[1:4]:
        assert text.splitlines()[-1].startswith("next: minebench catalog --benchmark tiny")
    assert runs.scored(project / "data/tiny") == {}
    assert not (project / "catalogs/tiny/stac/models").exists()
    assert "Scores" not in (project / "data/tiny/report/index.html").read_text()
    assert json.loads((project / "data/tiny/viewer/benchmark.json").read_text())["runs"] == []
    # By itself each says what is missing.
    for words in (("train", "--model", "unet"), ("predict", "--model", "unet")):
        done = run(*words, cwd=project)
        assert done.returncode in (1, 2)
        assert "to learn from" in done.stderr or "no labels to train on" in done.stderr
    # Labels come later, and the model is trained.
    recipe.write_text(labelled)
    for words in (*commands[:4], ("compare",)):
        done = run(*words, cwd=project)
        assert done.returncode == 0, done.stderr
    assert list(runs.scored(project / "data/tiny")) == ["unet"]


def test_what_is_labelled_fails_as_before(project: Path) -> None:
    (project / "data/tiny/index/pairs.parquet").unlink()
    done = run("train", "--model", "cva", "--if-labelled", cwd=project)
    assert done.returncode == 1
    assert "run `minebench tile" in done.stderr
