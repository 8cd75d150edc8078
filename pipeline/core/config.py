"""What recipes and params.yaml have in common: YAML files that are read and checked, field by field."""

import difflib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minebench.errors import InputError
from pipeline.core import yaml_text

Fraction = Annotated[float, Field(ge=0, le=1)]
Month = Annotated[int, Field(ge=1, le=12)]


class Part(BaseModel):
    """A part of such a file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(path: Path) -> Any:
    """Return the content of a YAML file. InputError names the file, and the line where it is known."""
    try:
        return yaml_text.load(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8: save it so.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    except RecursionError:
        raise InputError(f"{path} nests too deeply: check its brackets.") from None
    except ValueError as error:  # a date or a number that none is
        said = str(error).splitlines()[0][:100].rstrip(".")
        raise InputError(f"{path} has a value that YAML cannot take ({said}).") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}{yaml_text.mistake(error)}.") from None


def first_mistake(error: ValidationError, whole: str = "") -> str:
    """Return the first mistake as "field: what is wrong.", and how many more there are. `whole` stands for
    the field where a mistake is of the file as a whole."""
    # A name that is not known says more than the field that is missing for it.
    mistakes = sorted(error.errors(), key=lambda one: one["type"] == "missing")
    mistake = mistakes[0]
    field = _place(mistake) or whole
    reason, others = mistake["msg"].removeprefix("Value error, ").rstrip("."), mistakes[1:]
    if mistake["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            field, [_place(one) for one in others if one["type"] == "missing"], 1
        )
        others = [one for one in others if _place(one) not in near]
        mend = f"did you mean {near[0]}?" if near else "remove it or correct its spelling"
        reason = f"no such field; {mend}"
    elif mistake["type"] == "missing":
        reason = "missing; add it"
    more = f" (and {len(others)} more)" if others else ""
    return f"{field}{': ' if field else ''}{reason}{more}."


def _place(mistake: Any) -> str:
    """Return the field of a mistake, such as sites.buffer_m."""
    return ".".join(str(step) for step in mistake["loc"])
