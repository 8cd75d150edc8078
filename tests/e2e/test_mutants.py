"""A few mutated inputs of every kind; `make chaos` tries thousands."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants import Kinds

COUNTS = {
    "params.yaml": 8, "annotations": 15, "STAC items": 60, "GeoTIFFs": 20, "published data": 10,
    "studio steps": 30, "submissions": 2, "catalogs": 2, "results": 2,
}  # fmt: skip
"""Lists and recipes have files of their own."""


@pytest.fixture(scope="module")
def kinds(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinds]:
    folder = tmp_path_factory.mktemp("mutants")
    ignored = shutil.ignore_patterns("scenes", "explanations")
    shutil.copytree(compared, folder / "project", ignore=ignored)
    kinds = Kinds(folder / "project", folder / "inputs")
    yield kinds
    kinds.close()


@pytest.mark.parametrize("kind", COUNTS)
def test_an_input_is_used_or_refused_in_one_sentence(kinds: Kinds, kind: str) -> None:
    for number in range(COUNTS[kind]):
        said = kinds.by_name[kind](number)
        assert said is None or (said.endswith(".") and "\n" not in said), (number, said)
