"""Commands that do not wait between the tries of a request."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import Run
from tests.standins.hurried import HurriedForks


@pytest.fixture(scope="session")
def run_hurried() -> Iterator[Run]:
    """Run `minebench` as `tests.conftest.run` does, where a service fails on purpose."""
    forks = HurriedForks()

    def run(*words: str, cwd: Path) -> CompletedProcess[str]:
        return forks.run(list(words), cwd, timeout=300)

    yield run
    forks.stop()
