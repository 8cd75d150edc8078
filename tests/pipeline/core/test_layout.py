"""Benchmarks by name."""

from pathlib import Path

import pytest

from pipeline.core import layout
from pipeline.core.errors import UnknownName


def test_what_a_killed_command_left_is_no_benchmark(tmp_path: Path) -> None:
    for name in ("ours", ".1-1.mine"):
        (tmp_path / "catalogs" / name).mkdir(parents=True)
        (tmp_path / "catalogs" / name / "recipe.yaml").touch()
    with pytest.raises(UnknownName, match=r"benchmarks: ours\.$"):
        layout.find("other", tmp_path)
