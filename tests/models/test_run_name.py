"""Names of runs, taken apart and put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.run_name import SMOOTHED, RunName

WORDS = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,5})?", fullmatch=True).filter(
    lambda word: not word.endswith(tuple(SMOOTHED)) and not word.startswith(("sites-", "kfold-", "country-"))
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("unet", RunName("unet")),
        ("fc-siam-diff@levir", RunName("fc-siam-diff", label="levir")),
        ("unet@sites-5", RunName("unet", sites=5)),
        ("unet@sites-5-hmm", RunName("unet", sites=5, smoothing="hmm")),
        ("unet-hmm-change", RunName("unet", smoothing="hmm-change")),
        ("unet@kfold-0", RunName("unet", fold="kfold/0")),
        ("unet-hmm@country-DEU", RunName("unet", smoothing="hmm", fold="country/DEU")),
        ("unet@x-None", RunName("unet", label="x-None")),
    ],
)
def test_names_come_apart_and_back(text: str, name: RunName) -> None:
    assert RunName.parse(text) == name
    assert str(name) == text


@given(
    WORDS, st.one_of(st.none(), WORDS), st.sampled_from([None, *SMOOTHED]),
    st.sampled_from([None, "kfold/3", "country/DEU"]),
)  # fmt: skip
def test_any_name_comes_back(model: str, label: str | None, smoothing: str | None, fold: str | None) -> None:
    name = RunName(model, label, None, smoothing, fold)
    assert RunName.parse(str(name)) == name


def test_what_is_smoothed_was_trained() -> None:
    assert str(RunName.parse("unet@sites-5-hmm-change").trained) == "unet@sites-5"
    assert str(RunName.parse("unet").trained) == "unet"
