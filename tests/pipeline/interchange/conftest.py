from pathlib import Path

import pytest

from pipeline import recipe
from pipeline.core import layout


@pytest.fixture(scope="module")
def tiny(built: Path) -> tuple[layout.Benchmark, recipe.Recipe]:
    benchmark = layout.Benchmark("tiny", built)
    return benchmark, recipe.load(benchmark.recipe)
