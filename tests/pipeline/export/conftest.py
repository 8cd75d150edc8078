from pathlib import Path

import pytest

from minebench import layout
from pipeline import recipe


@pytest.fixture(scope="module")
def tiny(built: Path) -> tuple[layout.Benchmark, recipe.Recipe]:
    benchmark = layout.Benchmark("tiny", built)
    return benchmark, recipe.load(benchmark.recipe)
