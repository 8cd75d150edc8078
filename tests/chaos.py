"""`make chaos`: kills at random moments over the whole DAG, and thousands of mutated lists and recipes.

    python -m tests.chaos [--kills 120] [--mutations 10000] [--seed 1]

Prints counts; ends with 1 where a file differs from an undisturbed run's, a traceback was shown, or an input
ended in a defect. A bounded part runs in the suite (tests/e2e/test_interruption.py, test_mutated_lists.py,
test_mutated_recipes.py).
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import MINEBENCH, contents, make_project
from tests.pipeline import test_mutated_recipes as recipes
from tests.pipeline.sites import test_mutated_lists as lists

STAGES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "archive": (["archive"], ("data/tiny/archive",)),
    "fetch": (["fetch"], ("data/tiny/scenes", "data/tiny/index/scenes.parquet")),
    "compose": (["compose"], ("data/tiny/cubes", "data/tiny/index/composites.parquet")),
    "annotate": (["annotate"], ()),
    "tile": (["tile"], ("data/tiny/index/tiles.parquet", "data/tiny/index/pairs.parquet")),
    "catalog": (["catalog"], ("catalogs/tiny/stac",)),
    "train": (["train", "--model", "unet"], ("data/tiny/runs",)),
}
"""Words of the command, and what is removed so that it has work to do."""
PASSING = ("logs/", "live/")
"""Files that say when and how, which differ from run to run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bad = kills(Path(folder), asked.kills, random.Random(asked.seed))
    bad += mutations("mine lists", lists.attempted, asked.mutations // 2, asked.seed)
    bad += mutations("recipes", recipes.attempted, asked.mutations - asked.mutations // 2, asked.seed)
    sys.exit(1 if bad else 0)


def kills(folder: Path, wanted: int, rng: random.Random) -> int:
    """SIGKILLs in each stage; how many files differ in the end, and tracebacks there were."""
    project = make_project(folder / "project", workers=2)
    run(["sites"], project)
    for words, _ in STAGES.values():
        run(words, project)
    reference, tracebacks = found(project), 0
    share = -(-wanted // len(STAGES))
    for name, (words, outputs) in STAGES.items():
        clear(project, name, outputs)
        done = 0
        while done < share:
            process = subprocess.Popen(
                [MINEBENCH, *words], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            time.sleep(rng.uniform(0.2, 4.0))
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
            tracebacks += "Traceback" in said
            if process.returncode == 0:
                clear(project, name, outputs)
            else:
                done += 1
        run(words, project)
        print(f"{name}: {done} kills", flush=True)
    for words, _ in STAGES.values():
        run(words, project)
    now = found(project)
    differing = sorted(path for path in {*reference, *now} if reference.get(path) != now.get(path))
    print(f"{share * len(STAGES)} kills, {len(now):,} files, {len(differing)} differ: {differing[:9]}; "
          f"{tracebacks} tracebacks")  # fmt: skip
    return len(differing) + tracebacks


def run(words: list[str], project: Path) -> None:
    done = subprocess.run([MINEBENCH, *words], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{words}: {done.stderr}")


def clear(project: Path, name: str, outputs: tuple[str, ...]) -> None:
    for path in (project / output for output in outputs):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if name == "annotate":
        for mine in (project / "data/tiny/cubes").glob("*/mine"):
            shutil.rmtree(mine)


def found(project: Path) -> dict[str, bytes]:
    everything = {f"data/{n}": c for n, c in contents(project / "data/tiny").items()} | {
        f"stac/{n}": c for n, c in contents(project / "catalogs/tiny/stac").items()
    }
    return {n: c for n, c in everything.items() if not any(word in n for word in PASSING)}


def mutations(what: str, attempt: Callable[[Path, int], str | None], count: int, seed: int) -> int:
    """Mutated inputs, each laid out or refused in one sentence; how many ended otherwise."""
    refused, defects = 0, []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = attempt(Path(folder) / "p", seed * 1_000_000 + number)
            except Exception as error:
                defects.append(f"{number}: {type(error).__name__}: {error}")
                continue
        refused += said is not None
        if said is not None and ("\n" in said or not said.endswith(".")):
            defects.append(f"{number}: {said}")
    print(f"{count:,} mutated {what}: {refused:,} refused, {len(defects)} defects {defects[:5]}", flush=True)
    return len(defects)


if __name__ == "__main__":
    main()
