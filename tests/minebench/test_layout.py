"""Benchmarks by name."""

from pathlib import Path

import pytest

from minebench import layout
from minebench.errors import InputError, UnknownName


def test_what_a_killed_command_left_is_no_benchmark(tmp_path: Path) -> None:
    for name in ("ours", ".1-1.mine"):
        (tmp_path / "catalogs" / name).mkdir(parents=True)
        (tmp_path / "catalogs" / name / "recipe.yaml").touch()
    with pytest.raises(UnknownName, match=r"benchmarks: ours\.$"):
        layout.find("other", tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a" * 3000])
def test_what_no_folder_can_be_called_is_no_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a benchmark's name"):
        layout.find(name, tmp_path)
