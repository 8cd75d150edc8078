"""Files as a benchmark, in the process of the test."""

from pathlib import Path

from minebench import layout
from pipeline.published import ingest


def ingested(root: Path, name: str, kind: str, path: Path) -> tuple[layout.BenchmarkPaths, ingest.Ingested]:
    """What is made of files in this process; the command line does it in two."""
    benchmark, recipe = ingest.prepare(name, kind, path, root)
    return benchmark, ingest.run(benchmark, recipe, 1)
