"""What an item says of a scene as a whole."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.sensors import landsat
from tests.pipeline.sources.test_item_bands import item, opened

GRID = {"proj:shape": [4, 4], "proj:transform": [30, 0, 276000, 0, -30, 7312000]}
FIELDS: dict[str, dict[str, Any]] = {"red": GRID, "qa_pixel": GRID}


@pytest.mark.parametrize(
    ("properties", "level", "flaw"),
    [
        ({"landsat:collection_category": "T1", "landsat:correction": "L2SP"}, "L2SP", ""),
        ({"landsat:collection_category": "T1", "landsat:correction": "L2SR"}, "L2SR", ""),
        ({}, "L2SP", ""),
        ({"landsat:collection_category": "T2"}, "L2SP", "it is of Landsat's Tier 2"),
    ],
)
def test_landsat_says_its_level_and_how_well_it_lies(
    properties: dict[str, Any], level: str, flaw: str, tmp_path: Path
) -> None:
    _, scene = opened(item(tmp_path, FIELDS, **properties), landsat.C2_L2, ["red"])
    assert scene.level == level
    assert flaw in scene.flaw


def test_a_date_without_a_zone_is_utc(tmp_path: Path) -> None:
    """Old items of the USGS have a date alone."""
    catalog = item(tmp_path, FIELDS, datetime="2020-07-15")
    _, scene = opened(catalog, landsat.C2_L2, ["red"])
    assert scene.time == datetime(2020, 7, 15, tzinfo=UTC)


def test_an_item_with_a_wrong_grid_is_flawed_and_the_search_goes_on(tmp_path: Path) -> None:
    fields = {**FIELDS, "red": {**GRID, "proj:transform": [30, 0]}}
    _, scene = opened(item(tmp_path, fields), landsat.C2_L2, ["red"])
    assert scene.flaw == "the item describes its grid wrongly (proj:code, proj:shape, proj:transform)"
