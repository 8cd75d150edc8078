"""What the studio's page may ask: steps and questions, checked once, before anything is done with them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.core.errors import InputError

MOST_PIXELS = 2**40
"""Of a region, and of a row's or column's number: more than any image has."""
FAR = 1e6
"""Pixels from the image's corner within which an outline lies."""
LONGEST_NAME = 60
"""Characters of an annotator's name that are kept."""
LONGEST_WORD = 200
"""Characters of a date's or a run's name: file systems take 255 bytes."""
LONGEST_SECONDS = 86_400.0


def _named(given: Any) -> Any:
    """An annotator's name without what cannot be seen; "annotator" for nobody."""
    if not isinstance(given, str):
        return given
    return "".join(filter(str.isprintable, given)).strip()[:LONGEST_NAME] or "annotator"


Annotator = Annotated[str, BeforeValidator(_named)]
Word = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)]
Place = Annotated[int, Field(ge=0, le=MOST_PIXELS)]
Area = Annotated[float, Field(ge=0, le=MOST_PIXELS)]
Percent = Annotated[int, Field(ge=1, le=100)]
Coordinate = Annotated[float, Field(ge=-FAR, le=FAR)]
Ring = Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=3)]


class _Given(BaseModel):
    """Fields that are all there, and no others; no number is NaN or infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Step(_Given):
    """`seen` is the journal's length when the page last showed the subject's label."""

    by: Annotator = "annotator"
    seen: Annotated[int, Field(ge=0, le=MOST_PIXELS)]


class _Timed(_Step):
    """A step on a subject, and the seconds that it took."""

    subject: Word
    seconds: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]


class Click(_Timed):
    """Take the region around a pixel in, or out."""

    step: Literal["click"]
    row: Place
    column: Place
    area: Area
    stacked: bool
    adds: bool


class Draw(_Timed):
    """Take what an outline holds in, or out."""

    step: Literal["draw"]
    rings: Annotated[list[Ring], Field(min_length=1)]
    adds: bool


class FromAnother(_Timed):
    """Take the label of another date: with what changed, or as it is."""

    step: Literal["carry", "same"]
    source: Word


class Answer(_Timed):
    """Accept a proposal, or reject it."""

    step: Literal["answer"]
    proposal: Place
    accept: bool


class Model(_Timed):
    """Take a trained run's outline."""

    step: Literal["model"]
    run: Word
    threshold: Percent


class Mark(_Timed):
    """Say of a date what there is."""

    step: Literal["mark"]
    mark: Word


class Back(_Step):
    """Undo, or redo."""

    step: Literal["undo", "redo"]


Step = Annotated[
    Click | Draw | FromAnother | Answer | Model | Mark | Back,
    Field(discriminator="step"),
]
STEP: TypeAdapter[Step] = TypeAdapter(Step)
NAMES = ("click", "draw", "carry", "same", "answer", "model", "mark", "undo", "redo")


class _Question(_Given):
    """The words of an address: text, read as what it is to be."""

    model_config = ConfigDict(extra="ignore", strict=False)

    subject: Word


class Label(_Question):
    """A subject's label."""


class Preview(_Question):
    """The region under the pointer."""

    row: Place
    column: Place
    area: Area
    stacked: bool = False


class Predicted(_Question):
    """What a trained run would outline."""

    run: Word
    threshold: Percent


def step(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return a step's name and what is given with it. InputError says what is wrong with it."""
    try:
        given = STEP.validate_json(body).model_dump()
    except ValidationError as error:
        raise InputError(_wrong("step", error)) from None
    return given.pop("step"), given


def question(kind: type[_Question], words: dict[str, str]) -> dict[str, Any]:
    """Return what is asked in an address. InputError says what is wrong with it."""
    try:
        return kind.model_validate(words).model_dump()
    except ValidationError as error:
        raise InputError(_wrong("question", error)) from None


def _wrong(what: str, error: ValidationError) -> str:
    """Return a sentence about the first thing that is wrong."""
    mistake = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The first word of a place in a step is the step's name.
    place = mistake["loc"][1:] if what == "step" else mistake["loc"]
    field = ".".join(str(part) for part in place[:4])[:LONGEST_WORD]
    if mistake["type"] in {"missing", "extra_forbidden"}:
        return f"This {what} lacks something or has too much of it: {field}."
    if mistake["type"].startswith("union_tag"):
        return f"A step is one of {', '.join(NAMES)}."
    if not field:
        return "A step is one JSON object; this is none."
    return f"This {what} cannot be taken: {field}: {mistake['msg'].rstrip('.').lower()}."
