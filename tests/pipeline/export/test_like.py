"""A benchmark from another one's recipe, with own images."""

from pathlib import Path

import numpy as np
import pytest

from minebench.errors import InputError
from pipeline import recipe
from pipeline.cli.new import Made, Wanted, scaffold
from tests import published
from tests.conftest import RECIPE, make_project

LIKE = RECIPE.replace("pairs: all", "pairs: consecutive  # as before").replace(
    "{source: archive}", "{source: archive, meaning: pits}"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = make_project(tmp_path / "project", LIKE)
    for year in (2018, 2020):
        image, _ = published.scene(year, (64, 64))
        published.tif(root / f"images/mine_{year}-07-01.tif", image, (5e5, 5e6), res=0.5)
    published.tif(root / "other/mine_2019-06-01.tif", np.full((3, 64, 64), 7, np.uint8), (5e5, 5e6))
    (root / "list.csv").write_text("name,lon,lat\nPit,15.0002,45.1529\n")
    return root


def made(root: Path, name: str, like: str, images: str | None = None, source: str | None = "local") -> Made:
    folder = root / images if images else None
    wanted = Wanted(name, str(root / "list.csv"), source=source, like=like, images=folder)
    return scaffold(wanted, root)


def test_what_follows_from_images_is_theirs_and_the_rest_the_other_recipes(project: Path) -> None:
    done = made(project, "ours", "tiny", "images")
    own, like = recipe.load(done.benchmark.recipe), recipe.load(project / "catalogs/tiny/recipe.yaml")
    assert (own.sensor.bands, own.sensor.resolution, own.sensor.dtype) == (("R", "G", "B"), 0.5, "uint8")
    assert [period.label for period in own.periods.periods()] == ["2018", "2020"]
    assert (own.selection.policy, own.labels.source) == ("least_cloudy", "none")
    assert (own.tiling, own.split, own.pairs) == (like.tiling, like.split, "consecutive")
    assert (own.sites.buffer_m, own.labels.meaning) == (90, "pits")
    assert "# as before" in done.benchmark.recipe.read_text()
    assert (
        "sensor, source, periods and selection follow from the images; all else but the list is as in tiny"
        in done.account
    )


def test_images_go_before_those_of_a_recipe_that_has_own_ones(project: Path) -> None:
    made(project, "ours", "tiny", "images")
    other = recipe.load(made(project, "second", "ours", "other").benchmark.recipe)
    assert other.source.path == project / "other"
    assert other.sensor.resolution == 10
    same = made(project, "third", "ours", source=None)
    assert recipe.load(same.benchmark.recipe).source.path == project / "images"
    assert any(said.startswith("all but the list is as in ours") for said in same.account)
    with pytest.raises(InputError, match="own images are of --source local"):
        made(project, "fourth", "ours", "other", source=None)
