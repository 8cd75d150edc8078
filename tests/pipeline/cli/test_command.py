"""What commands say."""

from pathlib import Path

import pytest

from pipeline.cli import command


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("x: run `minebench tile` first.", "x: run `minebench tile --benchmark pts` first."),
        ("run `minebench fetch --refresh` now", "run `minebench fetch --benchmark pts --refresh` now"),
        ("run `minebench tile --benchmark own` now", "run `minebench tile --benchmark own` now"),
        ("see `minebench models`, or `minebench new`", "see `minebench models`, or `minebench new`"),
        ("nothing to run", "nothing to run"),
    ],
)  # fmt: skip
def test_commands_name_the_benchmark_that_was_named(
    said: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "UNDER_WAY", {"named": "pts"})
    assert command._for_this_benchmark(said) == named
    monkeypatch.setattr(command, "UNDER_WAY", {"named": ""})
    assert command._for_this_benchmark(said) == said


def test_benchmarks_that_are_no_list(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("benchmarks: demo\n")
    with pytest.raises(command.InputError, match=r"benchmarks is a list of names; write \[demo\]"):
        command.params()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"benchmarks: [a]\ntrain: 5", "train is 5; it has settings by name"),
        (b"benchmarks: [a]\ntrain: {unet: x}", "train.unet is 'x'; it has settings by name"),
        (b"benchmarks: [a]\nevaluate: [0.5]", "evaluate is .* it has settings by name"),
        (b"benchmarks: [a]\nworkers: .inf", "workers is inf; it is a number from 1 on"),
        (b"benchmarks: [a]\nworkers:", "workers is None; it is a number from 1 on"),
        (b"benchmarks: [\xff]", "is not text in UTF-8"),
    ],
)
def test_params_with_anything_in_them(
    text: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(command.InputError, match=says):
        command.spread(None)
