"""The documentation's site is built without a broken link, and its reference is complete."""

import re
from pathlib import Path

import pytest

from models import names
from models.training.settings import Settings
from pipeline.cli.app import app
from pipeline.index import tile
from pipeline.recipe import Recipe, Selection, Sites, Split, Tiling
from pipeline.scenes import scene_table
from tests.conftest import ROOT
from tests.forks import FORKS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it: a link or anchor that leads nowhere fails it."""
    out = tmp_path_factory.mktemp("docs") / "site"
    words = ["build", "--strict", "--quiet", "--site-dir", str(out)]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_MKDOCS_2_WARNING", "1")
        done = FORKS.run(words, ROOT, timeout=300, module="mkdocs")
    assert done.returncode == 0, done.stderr
    return out


def test_the_reference_has_every_command_field_column_and_setting(site: Path) -> None:
    words = {
        "commands": {command.name or command.callback.__name__ for command in app.registered_commands},
        "recipe": {name for part in (Recipe, Selection, Sites, Split, Tiling) for name in part.model_fields},
        "tables": {*scene_table.ROW, *tile.PAIR},
        "settings": {*Settings.__dataclass_fields__, *names("change"), *names("segmentation")},
    }
    for page, wanted in words.items():
        assert len(wanted) > 10, page
        text = (site / f"reference/{page}.html").read_text()
        assert not [word for word in wanted if f">{word}<" not in text.replace("\n", "")], page


def test_the_site_asks_nothing_of_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not [address for address in loaded if "canonical" not in address], page
