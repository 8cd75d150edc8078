"""Whatever is posted as a step is one, or is refused with one sentence."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minebench.errors import InputError
from pipeline.label import steps, studio

TIMED: dict[str, Any] = {"subject": "2021", "seconds": 1.5, "seen": 0, "by": "anna"}
CLICK = {**TIMED, "step": "click", "row": 1, "column": 2, "area": 9, "stacked": False, "adds": True}
DRAW = {**TIMED, "step": "draw", "adds": True, "rings": [[[0, 0], [9, 9], [9, 0]]]}
GOOD: tuple[dict[str, Any], ...] = (
    CLICK,
    DRAW,
    {**TIMED, "step": "carry", "source": "2020"},
    {**TIMED, "step": "same", "source": "2020"},
    {**TIMED, "step": "answer", "proposal": 0, "accept": False},
    {**TIMED, "step": "model", "run": "unet", "threshold": 50},
    {**TIMED, "step": "mark", "mark": "nothing"},
    {"step": "undo", "by": "anna", "seen": 3},
    {"step": "redo", "by": "anna", "seen": 3},
)
NO_NUMBERS: tuple[Any, ...] = ("x", None, True, [], {}, float("nan"), float("inf"), -1, 1e300)


def sentence(body: bytes) -> str:
    with pytest.raises(InputError) as caught:
        steps.step(body)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert said.encode()
    return said


def ring(corner: Any) -> dict[str, Any]:
    return {**DRAW, "rings": [[corner, [5, 5], [5, 1]]]}


def test_every_step_has_a_form() -> None:
    assert set(steps.NAMES) == set(studio.STEPS) == {step["step"] for step in GOOD}
    for step in GOOD:
        name, found = steps.step(json.dumps(step).encode())
        assert {"step": name, **found} == json.loads(json.dumps(step)) or name == "draw"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"a"', b"null", b"1", b"NaN", b"\xff\xfe", b"[" * 100_000, b'{"step":' + b"[" * 100_000,
     b'{"step": "mark", "mark": "nothing", "subject": "\\ud800", "seconds": 1, "seen": 0}',
     b'{"step": "mark", "mark": "nothing", "subject": "2021", "seconds": 1, "seen": 0, "by": "\\udfff"}'],
)  # fmt: skip
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert "A step is one" in sentence(body)


@pytest.mark.parametrize("field", ["row", "column", "area", "seconds", "seen"])
def test_a_number_is_a_number(field: str) -> None:
    for wrong in (*NO_NUMBERS, *([1.5] if field in {"row", "column", "seen"} else [])):
        assert f": {field}: " in sentence(json.dumps({**CLICK, field: wrong}).encode())


def test_an_outline_has_finite_corners_near_the_image() -> None:
    for wrong in (float("nan"), float("inf"), 1e300, "a", None):
        assert "rings.0.0.0" in sentence(json.dumps(ring([wrong, 1])).encode())
    corners: tuple[Any, ...] = ([], [1], [1, 2, 3], 5, "ab", {}, None)
    for corner in corners:
        assert "rings.0.0" in sentence(json.dumps(ring(corner)).encode())
    outlines: tuple[Any, ...] = ([], {}, None, 1, [[]], [[[1, 1], [2, 2]]], [None], "rings")
    for rings in outlines:
        assert "rings" in sentence(json.dumps({**DRAW, "rings": rings}).encode())


def test_names_are_short_and_can_be_seen() -> None:
    assert "run" in sentence(json.dumps({**GOOD[5], "run": "a" * 5_000}).encode())
    for given_, kept in (("  ", "annotator"), (" a\n\0b ", "ab"), ("x" * 99, "x" * 60)):
        assert steps.step(json.dumps({**GOOD[7], "by": given_}).encode())[1]["by"] == kept


@pytest.mark.parametrize(
    ("words", "field"),
    [({"area": "nan"}, "area"), ({"area": "1e400"}, "area"), ({"row": "9" * 5_000}, "row"),
     ({"row": "1.5"}, "row"), ({"row": "\0"}, "row"), ({"stacked": "perhaps"}, "stacked")],
)  # fmt: skip
def test_a_question_is_checked_as_a_step_is(words: dict[str, str], field: str) -> None:
    good = {"subject": "2021", "row": "1", "column": "2", "area": "3.5", "stacked": "true"}
    assert steps.question(steps.Preview, good)["stacked"] is True
    with pytest.raises(InputError, match=f"This question is not valid: {field}"):
        steps.question(steps.Preview, good | words)
    with pytest.raises(InputError, match="lacks the field"):
        steps.question(steps.Preview, words)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.sampled_from(GOOD), st.data())
def test_one_wrong_field_is_one_sentence_or_a_step(good: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([*good, "more"]))
    body = json.dumps({**good, field: data.draw(ANY)}).encode()
    try:
        steps.step(body)
    except InputError:
        sentence(body)
