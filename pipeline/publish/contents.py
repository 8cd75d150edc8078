"""What of a benchmark is published: the catalog, and the folders of data/<b>/ that it or the viewer need."""

import html
import os
from collections.abc import Iterator
from pathlib import Path

from minebench.layout import BenchmarkPaths
from pipeline.stac import model_items

FOLDERS = ("cubes", "index", "leaderboard", "predictions", "activity", "report", "viewer")
"""Of data/<b>/."""
RUN_FILES = ("metrics.json", "model.pt")
"""Of data/<b>/runs/<model>/."""


def is_published(benchmark: BenchmarkPaths, file: Path) -> bool:
    """Whether a file (absolute, without symbolic links) is published."""
    if file.is_relative_to(benchmark.stac.resolve()):
        return True
    data = benchmark.data.resolve()
    if not file.is_relative_to(data):
        return False
    folder, *rest = file.relative_to(data).parts
    if folder == "runs" and len(rest) == 2:
        return rest[1] in RUN_FILES and (benchmark.stac / model_items.FOLDER / rest[0]).is_dir()
    return folder in FOLDERS


def files(benchmark: BenchmarkPaths) -> Iterator[Path]:
    """Every published file, folder by folder; what a killed writer left half-written is not one."""
    folders = [benchmark.stac, *(benchmark.data / name for name in FOLDERS)]
    for folder in folders:
        for top, inside, names in os.walk(folder):
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            yield from (Path(top, name) for name in sorted(names) if not name.startswith("."))
    for folder in sorted((benchmark.stac / model_items.FOLDER).glob("*/")):
        paths = (benchmark.run(folder.name) / name for name in RUN_FILES)
        yield from (path for path in paths if path.is_file())


# The viewer's own files: a page, small modules of JavaScript, and two libraries in viewer/vendor with their
# licences; viewer/vendor/SOURCES.json names their packages, versions and sums.


FOLDER = Path(__file__).with_name("viewer")
PAGE = "index.html"


def page(benchmark: BenchmarkPaths, title: str) -> str:
    """The page of a benchmark; all that it shows it reads from data/<b>/viewer/."""
    text = (FOLDER / PAGE).read_text(encoding="utf-8")
    data = benchmark.data.relative_to(benchmark.root).as_posix()
    return text.replace("{{ title }}", html.escape(title)).replace("{{ data }}", html.escape(data))
