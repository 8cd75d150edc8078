"""From a user's pictures to a cube's image: black stays 0, and the clear count says where no data is."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from minebench.layout import BenchmarkPaths
from pipeline import recipe, sources
from pipeline.cubes import period_image
from pipeline.cubes.days import Day
from pipeline.cubes.kept_scenes import KeptScenes
from pipeline.scenes.reader import Reader
from pipeline.scenes.store import SceneStore
from tests.conftest import RECIPE
from tests.test_golden import BOX, a_site

SOURCE = """source:
  name: local
  path: images
  pattern: '(?P<date>\\d{4}-\\d{2}-\\d{2})\\.tif'
  bands: {R: 1, G: 2, B: 3}
"""
RULES = ["policy: least_cloudy", "policy: composite", "policy: composite\n  composite: medoid"]


def of_pictures(folder: Path, policy: str) -> recipe.Recipe:
    text = RECIPE.replace("bands: [B02, B03, B04, B08, B11]", "bands: [R, G, B]\n  dtype: uint8")
    text = text.replace("rgb: [B04, B03, B02]", "rgb: [R, G, B]").replace("policy: composite", policy)
    text = text.replace("source: {name: synthetic, seed: 3, scenes_per_period: 4}\n", SOURCE)
    text = text.replace("labels: {source: archive}", "labels: {source: none}").replace("snap: 20", "snap: 10")
    (folder / "recipe.yaml").write_text(text)
    return recipe.load(folder / "recipe.yaml")


def write(path: Path, pixels: np.ndarray, seen: np.ndarray, area: GeoBox = BOX) -> None:
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32633",
               "height": area.height, "width": area.width, "transform": area.transform}  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
        file.write_mask(seen)


@pytest.mark.parametrize("policy", RULES)
def test_black_is_stored_as_black(tmp_path: Path, policy: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 4, (3, *BOX.shape)).astype(np.uint8)
    pixels[:, :10] = 0
    seen = np.ones(BOX.shape, bool)
    seen[80:] = False
    (tmp_path / "images").mkdir()
    write(tmp_path / "images/2021-06-01.tif", pixels, seen)
    loaded, site = of_pictures(tmp_path, policy), a_site()
    benchmark = BenchmarkPaths("x", tmp_path)
    store = SceneStore.prepared(tmp_path / "kept", "1")
    reader = Reader(sources.open(benchmark, loaded), loaded, site, store)
    (scene,) = reader.source.listed(
        reader.source.labels[0], site.geometry, date(2021, 1, 1), date(2022, 1, 1)
    )
    assert ((reader.classes(scene) > 0) == seen).all()
    with KeptScenes(store, loaded.profile, is_picture=True) as kept:
        image, clear = period_image.compose([Day("", (scene.id,))], kept, loaded, tuple(BOX.shape), 1)
    assert image.dtype == np.uint8
    assert (image == pixels * seen).all()
    assert ((clear > 0) == seen).all()


def test_scenes_of_earlier_versions_give_the_images_that_they_gave(tmp_path: Path) -> None:
    """They are uint8, from 1, 0 where there is no data."""
    loaded = of_pictures(tmp_path, RULES[0])
    pixels = np.random.default_rng(1).integers(0, 9, (3, *BOX.shape)).astype(np.uint8)
    store = SceneStore.prepared(tmp_path / "kept", "1")
    store.write("a_10m.tif", pixels, BOX, ["R", "G", "B"])
    with KeptScenes(store, loaded.profile, is_picture=True) as kept:
        image, clear = period_image.compose([Day("", ("a",))], kept, loaded, tuple(BOX.shape), 1)
    assert (image == pixels).all()
    assert ((clear > 0) == (pixels > 0).all(axis=0)).all()
