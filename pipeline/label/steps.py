"""What the labelling page may send: steps, which change a label, and questions. Both are validated here."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from minebench.errors import InputError

MOST_PIXELS = 2**40
"""Limit of areas (pixels), rows, columns and counts, above those of any image."""
FAR = 1e6
"""Limit of an outline's coordinates, pixels from the image's corner."""
LONGEST_NAME = 60
"""Characters that are kept of an annotator's name."""
LONGEST_WORD = 200
"""Most characters of the name of a date or run: file systems allow 255 bytes."""
LONGEST_SECONDS = 86_400.0
"""Most seconds that a step may have taken."""


def _cleaned(name: Any) -> Any:
    """Return an annotator's name without unprintable characters; "annotator" if nothing is left."""
    if not isinstance(name, str):
        return name
    return "".join(filter(str.isprintable, name)).strip()[:LONGEST_NAME] or "annotator"


Annotator = Annotated[str, BeforeValidator(_cleaned)]
Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)]
Place = Annotated[int, Field(ge=0, le=MOST_PIXELS)]
Area = Annotated[float, Field(ge=0, le=MOST_PIXELS)]
Percent = Annotated[int, Field(ge=1, le=100)]
Coordinate = Annotated[float, Field(ge=-FAR, le=FAR)]
Ring = Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=3)]


class _Strict(BaseModel):
    """A message with exactly its fields, of exactly their types, without NaN or infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Step(_Strict):
    """A step by an annotator. `seen` is the length of the journal when the page last showed the label."""

    by: Annotator = "annotator"
    seen: Annotated[int, Field(ge=0, le=MOST_PIXELS)]


class _Timed(_Step):
    """A step on a subject's label, and the seconds that it took."""

    subject: Word
    seconds: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]


class Click(_Timed):
    """Add the region around a pixel to the label, or remove it."""

    step: Literal["click"]
    row: Place
    column: Place
    area: Area
    stacked: bool
    adds: bool


class Draw(_Timed):
    """Add the pixels inside an outline to the label, or remove them."""

    step: Literal["draw"]
    rings: Annotated[list[Ring], Field(min_length=1)]
    adds: bool


class FromAnother(_Timed):
    """Take over the label of another date: adapted to what changed (`carry`), or unchanged (`same`)."""

    step: Literal["carry", "same"]
    source: Word


class Answer(_Timed):
    """Accept a proposal, or reject it."""

    step: Literal["answer"]
    proposal: Place
    accept: bool


class Model(_Timed):
    """Take over the outline that a trained run predicts, at a threshold in percent."""

    step: Literal["model"]
    run: Word
    threshold: Percent


class Mark(_Timed):
    """Mark a date instead of outlining it."""

    step: Literal["mark"]
    mark: Word


class Back(_Step):
    """Undo or redo the last step."""

    step: Literal["undo", "redo"]


Step = Annotated[
    Click | Draw | FromAnother | Answer | Model | Mark | Back,
    Field(discriminator="step"),
]
STEP: TypeAdapter[Step] = TypeAdapter(Step)
NAMES = ("click", "draw", "carry", "same", "answer", "model", "mark", "undo", "redo")


class _Question(_Strict):
    """The query parameters of an address: text that is converted to the fields' types."""

    model_config = ConfigDict(extra="ignore", strict=False)

    subject: Word


class Label(_Question):
    """Ask for a subject's label."""


class Preview(_Question):
    """Ask for the region under the pointer."""

    row: Place
    column: Place
    area: Area
    stacked: bool = False


class Predicted(_Question):
    """Ask for what a trained run predicts, at a threshold in percent."""

    run: Word
    threshold: Percent


def step(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return a step's name and its other fields. InputError says what is wrong with it."""
    try:
        fields = STEP.validate_json(body).model_dump()
    except ValidationError as error:
        raise InputError(_sentence("step", error)) from None
    return fields.pop("step"), fields


def question(kind: type[_Question], words: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a question in an address. InputError says what is wrong with it."""
    try:
        return kind.model_validate(words).model_dump()
    except ValidationError as error:
        raise InputError(_sentence("question", error)) from None


def _sentence(what: str, error: ValidationError) -> str:
    """Return a sentence about the first mistake in a step or question."""
    mistake = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # In a step pydantic puts the name of the step before the path to the field.
    path = mistake["loc"][1:] if what == "step" else mistake["loc"]
    field = ".".join(str(part) for part in path[:4])[:LONGEST_WORD]
    if mistake["type"] == "missing":
        return f"This {what} lacks the field {field}."
    if mistake["type"] == "extra_forbidden":
        return f"This {what} has a field that is not known: {field}."
    if mistake["type"].startswith("union_tag"):
        return f"A step is one of {', '.join(NAMES)}."
    if not field:
        return "A step is one JSON object; this is not one."
    return f"This {what} is not valid: {field}: {mistake['msg'].rstrip('.').lower()}."
