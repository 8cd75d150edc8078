"""The repository's own promises."""

import re
import tomllib

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

from models import registry
from models.training.settings import Settings
from tests.conftest import ROOT
from tests.lowest import lowest
from tests.zoo.names import shown


def requirements() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        *project["dependencies"],
        *(r for part in project["optional-dependencies"].values() for r in part),
    ]
    return {re.match(r"[A-Za-z0-9_.-]+", r)[0].lower().replace("_", "-").replace(".", "-") for r in listed}


def test_conda_users_get_the_same_packages() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert pip == ["-c constraints.txt", f"-e .[{','.join(project['optional-dependencies'])}]"]
    assert f"python{project['requires-python']}" in environment["dependencies"]
    assert project["requires-python"] == ">=3.11,<3.15"


def test_constraints_pin_every_requirement_without_an_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "+cpu" not in text
    pinned = {line.split("==")[0].lower().replace("_", "-").replace(".", "-") for line in text.split()}
    assert requirements() <= pinned
    assert "torch==2.13.0" in text.split()


def test_every_requirement_has_a_lowest_version_below_the_pinned_one() -> None:
    lines = [line.split("==") for line in (ROOT / "constraints.txt").read_text().split()]
    pinned = {canonicalize_name(name): Version(version) for name, version in lines}
    for bound in lowest():
        name, version = bound.split("==")
        assert Version(version) <= pinned[canonicalize_name(name)], bound


def test_ci_runs_readmes_two_commands() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text()
    for command in ("make repro", "make test"):
        assert command in readme
        assert f"\n{command}\n" in ci


def test_every_stage_of_the_dag_is_a_command() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {"sites", "fetch", "train"} <= set(stages)
    for name, stage in stages.items():
        assert any(path.startswith(("minebench", "pipeline", "models")) for path in stage["deps"]), name
        assert stage["cmd"].startswith(f"minebench {name} --benchmark ${{item.benchmark}}")
        for path in stage["deps"]:
            if path.startswith(("minebench", "pipeline", "models")):
                assert (ROOT / path).exists(), path


def test_every_folder_of_the_pipeline_is_on_the_map() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for path in [inner for name in ("minebench", "pipeline", "models") for inner in (ROOT / name).iterdir()]:
        shown = path.is_dir() or path.suffix == ".py"
        if shown and path.name not in {"__init__.py", "__pycache__"}:
            assert f"`{path.relative_to(ROOT)}" in page, path


def test_the_readme_counts_the_models_and_the_page_lists_them() -> None:
    every = [name for task in registry.REGISTRY for name in registry.names(task)]
    assert f"There are {len(every)} models, among them" in (ROOT / "README.md").read_text()
    assert list(shown()) == [name for name in every if not registry.class_of(name).classical]
    page = (ROOT / "docs/models.md").read_text()
    assert all(f"`{name}`" in page for name in every)


def test_the_whole_comparison_names_every_model() -> None:
    """Of those that take a mine benchmark's images; probes of embeddings need a benchmark of theirs."""
    listed = yaml.safe_load((ROOT / "docs/comparison.yaml").read_text())
    every = [
        name
        for task in registry.REGISTRY
        for name in registry.names(task)
        if not registry.class_of(name).of_embeddings
    ]
    assert listed["models"] == list(listed["train"]) == every
    for name, given in listed["train"].items():
        Settings.of(given, name)
