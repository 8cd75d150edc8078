"""The page of a benchmark with models, as a browser and as a reader of its source see it."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import run


@pytest.fixture(scope="module")
def reported(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a benchmark with models, scored and applied, and with activity."""
    project = Path(shutil.copytree(compared, tmp_path_factory.mktemp("report") / "project"))
    for words in (("predict", "--model", "cva", "--split", "all"), ("activity",), ("report",)):
        done = run(*words, cwd=project)
        assert done.returncode == 0, done.stderr
    return (project / "data/tiny/report/index.html").read_text()


def test_it_has_what_readers_of_the_papers_look_for(reported: str) -> None:
    for words in ("Footprints by date", "Change by interval, years", "GCA-TIoU", "Precision by recall",
                  "Activity", "When it changed", "Clear days by month", "Best: "):  # fmt: skip
        assert words in reported, words
    assert "<script" not in reported


def test_every_picture_says_what_it_shows(reported: str) -> None:
    pictures = re.findall(r"<img [^>]*>", reported)
    assert len(pictures) > 10
    assert all(re.search(r'alt="[^"]{3,}"', picture) for picture in pictures)
    drawings = re.findall(r"<svg [^>]*>", reported)
    assert len(drawings) > 5
    assert all('role="img"' in drawing and "aria-label=" in drawing for drawing in drawings)


def test_every_table_scrolls_by_itself(reported: str) -> None:
    """On a telephone the page has the screen's width."""
    tables = re.findall(r"(?:<[^>]*>)?<table", reported)
    assert len(tables) > 8
    assert set(tables) == {'<div class="scroll"><table'}
