from pathlib import Path

import pytest

from minebench.errors import InputError
from pipeline import recipe
from tests.conftest import RECIPE, ROOT


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_published_recipes_are_valid() -> None:
    paths = list(ROOT.glob("catalogs/*/recipe.yaml"))
    assert paths
    for path in paths:
        assert recipe.load(path).title


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("resolution: 10", "resolution: -1", "sensor.resolution"),
        ("citation:", "citatoin:", r"citatoin: no such field; did you mean citation\?"),
        ("periods:", "period:", r"period: no such field; did you mean periods\?"),
        (
            "pairs: all",
            "pairs: all\ntiling: {size: 32}",
            "line 18: 'tiling' is given twice",
        ),
        ("pairs: all", "pairs all", "line 17 is not valid YAML"),
        ("tiling: {size: 64}", "", "tiling: missing"),
        ('start: "2021"', 'start: "2025"', "end 2023 is before start 2025"),
        ('start: "2021"', 'start: "soon"', "'soon' is not a date"),
        ("rgb: [B04, B03, B02]", "rgb: [B04, B03, B99]", "rgb names B99"),
        (
            "rgb: [B04, B03, B02]",
            "rgb: [B04, B03, b02]",
            r"rgb names b02 \(B02 is there: upper and lower case",
        ),
        ("train: 0.34", "train: 0.9", "must add up to 1"),
        ("name: synthetic", "name: magic", "source"),
        ("snap: 20", "snap: 15", "multiple of resolution"),
        ("{unit: year", "{unit: month", "selection.season: .* period 2021-01 is none"),
        (
            '{unit: year, start: "2021", end: "2023"}',
            "{spans: {a: [2020-01-01, 2020-12-31]}}",
            "period a is none",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in RECIPE
    with pytest.raises(InputError, match=says) as caught:
        recipe.load(write(tmp_path, RECIPE.replace(old, new)))
    assert "recipe.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_yaml_and_not_a_mapping(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2 is not valid YAML"):
        recipe.load(write(tmp_path, "title: x\n  sensor: [\n"))
    with pytest.raises(InputError, match="must be a mapping"):
        recipe.load(write(tmp_path, "- a\n- b\n"))


def test_archive_labels_need_the_synthetic_source(tmp_path: Path) -> None:
    text = RECIPE.replace("{name: synthetic, seed: 3, scenes_per_period: 4}", "{name: stac, href: x}")
    with pytest.raises(InputError, match="labels: source archive"):
        recipe.load(write(tmp_path, text))
