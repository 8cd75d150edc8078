"""What commands say."""

import pytest

from pipeline import command


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("x: run `minebench tile` first.", "x: run `minebench tile --benchmark pts` first."),
        ("run `minebench fetch --refresh` now", "run `minebench fetch --benchmark pts --refresh` now"),
        ("run `minebench tile --benchmark own` now", "run `minebench tile --benchmark own` now"),
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
