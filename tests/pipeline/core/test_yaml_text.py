"""YAML as its writers mean it."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [("4e-3", 0.004), ("1E5", 1e5), ("-2.5e3", -2500.0), ("1.5e-4", 1.5e-4), ("12", 12), ("0.5", 0.5),
     ("'4e-3'", "4e-3"), ("e3", "e3"), ("2018-03", "2018-03"), ("1e", "1e")],
)  # fmt: skip
def test_numbers(text: str, value: object) -> None:
    assert yaml_text.load(f"a: {text}") == {"a": value}


def test_a_key_that_is_given_twice_is_named_with_its_line() -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml_text.load("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")
    assert yaml_text.mistake(caught.value) == " line 5: 'c' is given twice; leave one of them"


def test_merged_keys_are_no_repetition() -> None:
    assert yaml_text.load("a: &a {x: 1}\nb: {<<: *a, x: 2}\n")["b"] == {"x": 2}


@given(
    st.dictionaries(
        st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
    )
)
def test_what_is_written_is_read(content: dict[str, object]) -> None:
    assert yaml_text.load(yaml.safe_dump(content)) == content


@pytest.mark.parametrize("character", ["\\0", "\\ud800", "\\udfff"])
def test_what_no_file_can_hold_is_refused_with_its_line(character: str) -> None:
    with pytest.raises(yaml.YAMLError) as error:
        yaml_text.load(f'rgb: [B04]\ntitle: "Mines {character}"\n')
    assert re.search(r"line 2: U\+(0000|D800|DFFF) is no character", yaml_text.mistake(error.value))
