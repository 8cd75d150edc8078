"""What commands say."""

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
