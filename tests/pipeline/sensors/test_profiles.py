"""Sensors as data: how masks decode, how numbers become reflectance, what a recipe may ask of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from minebench.errors import InputError
from pipeline import recipe
from pipeline.scenes import selection
from pipeline.sensors import airborne, classes, known, landsat, sentinel2
from pipeline.sensors.classes import CLEAR, CLOUD, NODATA, SHADOW, SNOW, WATER, ClearRule
from pipeline.sources.earthengine import Options as EarthEngine
from tests.conftest import RECIPE

SYNTHETIC = "source: {name: synthetic, seed: 3, scenes_per_period: 4}"


def load(folder: Path, *changes: tuple[str, str]) -> recipe.Recipe:
    text = RECIPE.replace("{source: archive}", "{source: none}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "recipe.yaml"
    path.write_text(text)
    return recipe.load(path)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (21824, CLEAR), (21952, WATER), (22280, CLOUD), (23888, SHADOW), (30048, SNOW), (1, NODATA),
        (0, NODATA),         (54596, classes.CIRRUS), (21826, CLOUD),
    ],
)  # fmt: skip
def test_numbers_of_qa_pixel_that_usgs_lists(number: int, shown: int) -> None:
    """Values of the Collection 2 guides' tables: clear, water, cloud, shadow, snow, fill, cirrus, dilated."""
    assert landsat.quality(np.array([[number]], np.uint16))[0, 0] == shown


@given(arrays(np.uint16, (4, 5)))
def test_landsats_numbers_become_reflectance(numbers: np.ndarray) -> None:
    found = landsat.reflectance(numbers, 0)
    expected = np.rint(np.clip((numbers * 0.0000275 - 0.2) * 1e4, 1, 65535))
    assert ((found == 0) == (numbers == 0)).all()
    valid = numbers > 0
    assert np.abs(found[valid] - expected[valid]).max(initial=0) <= 1


def test_a_cloudless_image_without_classes_is_clear_whatever_a_recipe_names() -> None:
    """An aerial image knows no vegetation: `clear_classes: [bare, water]` must not empty it."""
    seen = np.full((6, 6), CLEAR, np.uint8)
    assert selection.clear_pixels(seen, ClearRule(classes.numbers(["bare", "water"]), 2)).all()


def test_cloud_score_says_clear_and_nothing_of_the_ground() -> None:
    stored = np.array([[sentinel2.SCORE_CLEAR, sentinel2.SCORE_CLOUD, 0]], np.uint8)
    assert sentinel2.scored_classes(stored).tolist() == [[CLEAR, CLOUD, NODATA]]


def test_classes_go_by_name_or_by_sentinel_2s_numbers(tmp_path: Path) -> None:
    named = load(
        tmp_path, ("  min_clear", "  clear_classes: [vegetation, bare, water, unclassified]\n  min_clear")
    )
    numbered = load(tmp_path, ("  min_clear", "  clear_classes: [4, 5, 6, 7]\n  min_clear"))
    assert named.selection.clear == numbered.selection.clear == load(tmp_path).selection.clear
    assert classes.numbers(["cloud"]) == (8, 9)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([("  min_clear", "  clear_classes: [meadow]\n  min_clear")], "'meadow' is not a class of pixels"),
        ([("  min_clear", "  clear_classes: [44]\n  min_clear")], "'44' is not a class of pixels"),
        ([("  resolution", "  profile: sentinel-9\n  resolution")], "sensor.profile: 'sentinel-9' is not"),
        (
            [("  min_clear", "  clear_classes: [6]\n  min_clear"),
             (SYNTHETIC, "source: {name: local, path: x, pattern: 'x', bands: {B02: 1}}")],
            "6 is a scene class of Sentinel-2, and the sensor is plain",
        ),
        (
            [(SYNTHETIC, "source: {name: stac, href: x, collections: [landsat-c2-l2]}")],
            "landsat-c2-l2 has no band B02",
        ),
        (
            [(SYNTHETIC, "source: {name: earthengine, composite: server}")],
            "selection.cloud_margin: medians made by Earth Engine have no margin",
        ),
        ([(SYNTHETIC, "source: {name: earthengine, zoom: 3}")], "source: zoom: no such field"),
        ([(SYNTHETIC, "source: {seed: 3}")], "name is missing; choose one of earthengine, import, local"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_sensor_is_refused(
    tmp_path: Path, changes: list[tuple[str, str]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        load(tmp_path, *changes)


def test_the_source_knows_its_sensor(tmp_path: Path) -> None:
    assert load(tmp_path).profile is sentinel2.L2A
    stac = "source: {name: stac, href: x}"
    assert load(tmp_path, (SYNTHETIC, stac)).profile is sentinel2.L2A
    scored = load(tmp_path, (SYNTHETIC, "source: {name: earthengine, cloud: cloud_score_plus}")).profile
    assert scored.mask is sentinel2.CLOUD_SCORE
    assert scored.name == "sentinel-2-l2a"
    sensor = load(tmp_path).sensor
    naip = EarthEngine(name="earthengine", collection="USDA/NAIP/DOQQ", cloud="none")
    assert naip.profile(sensor) is airborne.NAIP
    assert known.named("landsat-c2-l2") is landsat.C2_L2
