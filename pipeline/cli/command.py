"""What surrounds a command: its benchmark found, lock taken, log open; what comes next, and how it ends."""

import json
import os
import re
import sys
from typing import Any

from minebench import layout, rank
from minebench.errors import redacted
from minebench.files import ONLY_READ, finite
from minebench.layout import BenchmarkPaths
from minebench.text import counted
from pipeline.core import locks, log_file

NEXT = {
    "sites": "minebench {images}{b}",
    "archive": "minebench fetch{b}",
    "fetch": "minebench compose{b}",
    "compose": "minebench annotate{b}",
    "annotate": "minebench tile{b}",
    "tile": "minebench train{b} --model fc-siam-diff",
    "train": "minebench evaluate{b} --model {model}",
    "evaluate": "minebench compare{b}, or on whole sites: minebench predict{b} --model {model} --split all",
    "score": "minebench compare{b}, then minebench catalog{b} and minebench report{b}",
    "compare": "minebench catalog{b}",
    "predict": "minebench activity{b}, then minebench catalog{b}",
    "activity": "minebench catalog{b}",
    "catalog": "minebench report{b}, or look at it: minebench browse{b}",
    "report": "open it in a browser, or share all of it: minebench publish OUT{b}",
    "explain": "open it in a browser",
    "check": "minebench publish OUT{b}",
    "publish": "put the folder on a web server, or look at it here: minebench browse{b}",
}
"""What a user would do after a command, as its last line. Under `dvc repro` DVC knows."""
NEXT_UNLABELLED = dict.fromkeys(
    ("tile", "train", "evaluate"), "minebench catalog{b} (there are no labels to train on)"
)
UNDER_WAY: dict[str, str] = {}
"""Benchmark and stage of this process's command, such as `train-unet`, and the stage that gives it images."""


def say_next(_result: object, **_words: object) -> None:
    command, _, model = UNDER_WAY.get("stage", "").partition("-")
    if command in NEXT and "DVC_STAGE" not in os.environ:
        named = f" --benchmark {UNDER_WAY['benchmark']}"
        text = NEXT_UNLABELLED[command] if _is_unlabelled(command) else NEXT[command]
        print(f"next: {text.format(b=named, model=model, images=UNDER_WAY['images'])}")


def _is_unlabelled(command: str) -> bool:
    """Whether the command's benchmark has no labels, and the command would lead to models."""
    if command not in NEXT_UNLABELLED:
        return False
    # Here and not above: most commands do without the models.
    from models.training import unlabelled

    return unlabelled.is_unlabelled(layout.find(UNDER_WAY["benchmark"]).data)


def fail(message: str, status: int) -> None:
    print(f"minebench: {redacted(_for_this_benchmark(message))}", file=sys.stderr)
    sys.exit(status)


def _for_this_benchmark(message: str) -> str:
    """Name the benchmark in commands that a message says to run, where it was named: else they would run on
    the first of params.yaml."""
    if not (name := UNDER_WAY.get("named")):
        return message
    of_a_benchmark = r"`(minebench (?!new\b|ingest\b|models\b)[a-z]+)(?![^`]*--benchmark)"
    return re.sub(of_a_benchmark, rf"`\1 --benchmark {name}", message)


READERS = {"browse", "check", "doctor", "label"}
"""Commands that take no lock."""
LOOKING = {*READERS, "agree", "export", "score"}
"""Commands that work where a benchmark can only be read: without a lock and without a log file there."""


def benchmark_of(name: str | None) -> BenchmarkPaths:
    """The benchmark of a name; without one the first of params.yaml."""
    from pipeline import params

    return layout.find(name or params.load().benchmarks[0])


def begin(stage: str, name: str | None) -> tuple[BenchmarkPaths, Any]:
    """The benchmark and its recipe, with the stage's lock taken and its log file open."""
    from pipeline import recipe, stages

    benchmark = benchmark_of(name)
    UNDER_WAY["named"] = name or ""
    loaded = recipe.load(benchmark.recipe)
    try:
        if stage not in READERS and rank.is_first():
            lock = benchmark.lock(stages.LOCKS.get(stage, stage))
            locks.take(lock, f"`minebench {stage}` of {benchmark.name}")
        log_file.begin(benchmark.log(stage))
    except OSError as error:
        if stage.partition("-")[0] not in LOOKING or error.errno not in ONLY_READ:
            raise
    images = "archive" if loaded.source.is_synthetic else "fetch"
    UNDER_WAY.update(benchmark=benchmark.name, stage=stage, images=images, named=name or "")
    return benchmark, loaded


def made(stage: str, verb: str, count: int) -> None:
    """Say how many sites had to be done."""
    print(f"{stage}: {verb} {counted(count, 'site')}" if count else f"{stage}: all sites are up to date")


def as_json(value: Any) -> None:
    """For machines: one object, and nothing else on stdout."""
    UNDER_WAY.clear()
    print(json.dumps(finite(value), ensure_ascii=False, default=str))


def spread(scheduler: str | None) -> Any:
    """How params.yaml and the command's words want the work to be spread."""
    from pipeline import params
    from pipeline.core.runner import Spread

    settings = params.load()
    address = scheduler or os.environ.get("MINEBENCH_SCHEDULER") or settings.scheduler
    return Spread(settings.workers, address or None)
