"""params.yaml: what is not part of a recipe. It has a schema as a recipe has: unknown keys, other types and
other values are an InputError that names the file and the key."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from minebench.errors import InputError
from pipeline.core import config
from pipeline.core.config import Fraction, Part

FILE = Path("params.yaml")
Name = Annotated[str, Field(min_length=1, strict=True)]


class Evaluate(Part):
    """How models are scored."""

    threshold: Annotated[Fraction, Field(strict=True)] | Literal["validation"] = 0.5
    """A probability, or `validation` for the best one on the validation split."""
    count: Literal["ground", "tiles"] = "ground"
    """Whether a pixel of several tiles counts once, or in each tile."""


class Params(Part):
    """The file."""

    benchmarks: Annotated[list[Name], Field(min_length=1)]
    """Names of folders in catalogs/; the first is every command's default."""
    workers: Annotated[int, Field(ge=1, strict=True)] = 2
    """Sites worked on at once, each in a process (in a thread where a service is asked)."""
    scheduler: Annotated[str, Field(strict=True)] | None = None
    """Address of a Dask scheduler that works on the sites instead."""
    models: list[Name] = Field(default_factory=list)
    """The runs that `dvc repro` trains."""
    train: dict[Name, dict[str, Any] | None] = Field(default_factory=dict)
    """Settings by run or model; see `models.training.settings.Settings`."""
    evaluate: Evaluate = Evaluate()


def load(path: Path = FILE) -> Params:
    """Return the settings of the folder we run in."""
    if not path.is_file():
        raise InputError(f"There is no {path} here: run minebench from the repository root.")
    content = config.read(path)
    if not isinstance(content, dict) or not content.get("benchmarks"):
        raise InputError(f"{path} must list at least one name under benchmarks.")
    # A section without anything in it is as if it were not there.
    given = {key: value for key, value in content.items() if value is not None or key == "workers"}
    try:
        params = Params.model_validate(given)
    except ValidationError as error:
        raise InputError(f"{path}: {config.first_mistake(error)}") from None
    _check_runs(params, path)
    return params


def _check_runs(params: Params, path: Path) -> None:
    """InputError where a run is of no model, or a setting is unknown or wrong."""
    # Here and not above: the registry is needed where there are any.
    from models import registry
    from models.training import settings

    try:
        for run in params.models:
            registry.task_of(run)
        for run, given in params.train.items():
            registry.task_of(run)
            settings.check(given or {}, run)
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
