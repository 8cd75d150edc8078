"""The viewer's own files: a page, small modules of JavaScript, and two libraries in viewer/vendor with their
licences; viewer/vendor/SOURCES.json names their packages, versions and sums."""

import html
from pathlib import Path

from pipeline.core.layout import Benchmark

FOLDER = Path(__file__).with_name("viewer")
PAGE = "index.html"


def page(benchmark: Benchmark, title: str) -> str:
    """The page of a benchmark; all that it shows it reads from data/<b>/viewer/."""
    text = (FOLDER / PAGE).read_text(encoding="utf-8")
    data = benchmark.data.relative_to(benchmark.root).as_posix()
    return text.replace("{{ title }}", html.escape(title)).replace("{{ data }}", html.escape(data))
