"""Nothing that is published tells where a user keeps files, who that is, or a key."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from tests.conftest import RECIPE, make_project, run

SECRETS = {"EARTHENGINE_PROJECT": "secret-project-77", "TILES_KEY": "k3y-of-tiles-41",
           "PC_SDK_SUBSCRIPTION_KEY": "sub5cription-9"}  # fmt: skip
PUBLISHED = ("cubes", "index", "leaderboard", "report", "predictions", "runs/*/model.pt")


def published_files(project: Path) -> Iterator[Path]:
    """Every file of the catalog, and of the folders that its assets point to."""
    data = project / "data/tiny"
    for top in (project / "catalogs/tiny/stac", *(p for name in PUBLISHED for p in data.glob(name))):
        yield from (path for path in [top, *top.rglob("*")] if path.is_file())


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of images in a folder named by its whole path, unlabelled, with keys in the environment."""
    folder = tmp_path_factory.mktemp("privacy")
    images = folder / "home of somebody" / "flights"
    images.mkdir(parents=True)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": 400, "height": 400, "nodata": 0,
               "crs": "EPSG:32633", "transform": from_origin(443_000, 5_722_000, 10, 10)}  # fmt: skip
    for number, day in enumerate(("20210611", "20220702", "20230714")):
        with rasterio.open(images / f"a_{day}.tif", "w", **profile) as file:
            file.write(np.random.default_rng(number).integers(1, 255, (3, 400, 400), dtype=np.uint8))
    text = RECIPE.replace("title: tiny (synthetic)", "title: flights over Alpha")
    text = text.replace("citation: synthetic, for tests", "citation: flights, for tests")
    pattern = r"a_(?P<date>\d{8}).tif"
    source = f"{{name: local, path: '{images}', pattern: '{pattern}', bands: {{R: 1, G: 2, B: 3}}}}"
    for old, new in (
        ("[B02, B03, B04, B08, B11]", "[R, G, B]"),
        ("rgb: [B04, B03, B02]", "rgb: [R, G, B]\n  dtype: uint8"),
        ("{name: synthetic, seed: 3, scenes_per_period: 4}", source),
        ("  season: {north: [6, 8], south: [12, 2]}\n", ""),
        ("labels: {source: archive}", "labels: {source: none}"),
        ("{train: 0.34, val: 0.33, test: 0.33}", "{train: 1.0, val: 0.0, test: 0.0}"),
    ):  # fmt: skip
        text = text.replace(old, new)
    project = make_project(folder / "project", text, "name,lon,lat\nAlpha,14.223,51.630\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        for stage in ("sites", "archive", "fetch", "compose", "annotate", "tile", "catalog", "report"):
            done = run(stage, cwd=project)
            assert done.returncode == 0, done.stderr
    return project


def test_no_path_user_or_key(published: Path) -> None:
    words = [str(published), str(published.parent), str(Path.home()), "home of somebody", *SECRETS.values()]
    words += [f"/{getpass.getuser()}/"]
    files = list(published_files(published))
    assert len(files) > 30
    for path in files:
        content = path.read_bytes()
        for word in words:
            assert word.encode() not in content, f"{path} tells {word}"


def test_what_was_not_labelled_or_trained_is_not_described(published: Path) -> None:
    stac = published / "catalogs/tiny/stac"
    card = (stac / "README.md").read_text()
    assert "There are no labels" in card
    for words in ("footprint masks", "pairs with change", "synthetic", "Labels are"):
        assert words not in card
    assert "1 site in 1 country (DEU)" in card
    assert "There is no test split." in card
    assert "tiles came without a place" not in card
    assert "Mine footprint" not in (stac / "croissant.json").read_text()
    items = [path.read_text() for path in stac.glob("*/*/*.json")]
    assert items
    assert not any("label:description" in text for text in items)
    assert not (stac / "models").exists()
    assert "Images in flights" in (stac / "LICENCES.md").read_text()


def test_weights_are_told_by_their_name(tmp_path: Path) -> None:
    from models.training.checkpoint import _named

    torch.save({}, tmp_path / "backbone.pt")
    assert _named(str(tmp_path / "backbone.pt")) == "backbone.pt"
    assert _named("microsoft/resnet-18") == "microsoft/resnet-18"
    assert _named(None) is None
