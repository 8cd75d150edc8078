"""The lowest version of every requirement, as constraints for pip: each of them was tried together.

    python -m tests.lowest > lowest.txt && pip install -c lowest.txt -e '.[pipeline,notebooks,dev]'

It needs nothing that is not in Python, for it is run before anything is installed.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?[>=]=([\w.]+)")


def lowest() -> Iterator[str]:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    listed = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in sorted({requirement for part in listed for requirement in part}):
        bound = REQUIREMENT.fullmatch(requirement)
        if not bound:
            raise SystemExit(f"{requirement} in pyproject.toml has no lower bound.")
        yield f"{bound[1]}=={bound[2]}"


if __name__ == "__main__":
    print(*lowest(), sep="\n")
