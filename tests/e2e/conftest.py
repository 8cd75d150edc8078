"""Commands that do not wait between the tries of a request."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import Run
from tests.forks import FORKS


@pytest.fixture(scope="session")
def run_hurried() -> Run:
    """Run `minebench` as `tests.conftest.run` does, where a service fails on purpose."""

    def run(*words: str, cwd: Path) -> CompletedProcess[str]:
        return FORKS.run(list(words), cwd, timeout=300, module="tests.standins.hurried")

    return run
