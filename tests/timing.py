"""Where the suite's time goes: a pytest plugin, and the table of what it recorded.

    SUITE_TIMES=times.jsonl python -m pytest -n 2 -p tests.timing
    python -m tests.timing times.jsonl

Processor time is that of the worker and of every process below it, so that commands, servers and browsers
count. What is forked from the process of `tests.forks` counts to the worker that started that process. A
fixture counts in the test that first asks for it.
"""

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pandas as pd
import psutil
import pytest


def processor_seconds() -> float:
    """Return the processor time of this process, its living descendants and what they have reaped."""
    process = psutil.Process()
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.Error:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Append one line per test to the file that SUITE_TIMES names."""
    start, processor = time.perf_counter(), processor_seconds()
    result = yield
    row = {
        "test": item.nodeid,
        "worker": os.environ.get("PYTEST_XDIST_WORKER", ""),
        "wall_s": round(time.perf_counter() - start, 3),
        "processor_s": round(processor_seconds() - processor, 3),
    }
    with Path(os.environ["SUITE_TIMES"]).open("a") as file:
        file.write(json.dumps(row) + "\n")
    return result


def table(path: Path) -> pd.DataFrame:
    """Return the recorded seconds by test file, the longest first, and what of them was waiting."""
    rows = pd.read_json(path, lines=True)
    rows["file"] = rows["test"].str.split("::").str[0]
    files = rows.groupby("file").agg(
        tests=("test", "count"),
        wall_s=("wall_s", "sum"),
        processor_s=("processor_s", "sum"),
        longest_s=("wall_s", "max"),
    )
    files["waiting_s"] = (files["wall_s"] - files["processor_s"]).clip(lower=0)
    return files.sort_values("wall_s", ascending=False).round(1)


if __name__ == "__main__":
    files = table(Path(sys.argv[1]))
    print(files.to_string())
    print(files[["tests", "wall_s", "processor_s", "waiting_s"]].sum().round(0).to_string())
