from pathlib import Path

import pytest

from minebench import layout
from pipeline import recipe


@pytest.fixture(scope="module")
def tiny(built: Path) -> tuple[layout.BenchmarkPaths, recipe.Recipe]:
    benchmark = layout.BenchmarkPaths("tiny", built)
    return benchmark, recipe.load(benchmark.recipe)
