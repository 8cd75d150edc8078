"""Two processes score and predict as one does, to the last digit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.evaluation.evaluate import FILES
from tests.conftest import contents, run


@pytest.mark.parametrize("model", ["fc-siam-diff", "unet"])
def test_the_same_numbers_on_two_processes(project: Path, model: str) -> None:
    done = run("train", "--model", model, cwd=project)
    assert done.returncode == 0, done.stderr
    folders = [project / "data/tiny/runs" / model, project / "data/tiny/predictions"]
    found = []
    for launch in ([], ["--num_processes", "2"]):
        for words in (("evaluate",), ("predict", "--split", "all")):
            command = [words[0], "--model", model, *words[1:]]
            if not launch:
                done = run(*command, cwd=project)
            else:
                accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", *launch]
                done = subprocess.run(
                    [*accelerate, "-m", "pipeline.cli", *command],
                    cwd=project, capture_output=True, text=True, timeout=280,
                )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            assert done.stdout.count(f"{words[0]}: ") == 1
        scores = {name: (folders[0] / name).read_bytes() for name in FILES}
        found.append((scores, contents(folders[1])))
        for name in (*FILES, "timing.json"):
            (folders[0] / name).unlink()
        shutil.rmtree(folders[1])
    assert found[0] == found[1]
