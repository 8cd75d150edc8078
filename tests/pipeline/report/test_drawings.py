"""Charts and maps with names in any script."""

import warnings

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from pipeline.report import drawings

NAMES = ["平朔煤矿", "منجم الصخيرات", "खान", "광산", "Карьер", "A$1$ <b>", "$x^"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_bars_have_names_in_any_script_as_text() -> None:
    each = pd.DataFrame({"site_id": range(len(NAMES)), "country": None, "changed_km2": 1.0})
    svg = drawings.countries_and_sites(each, dict(enumerate(NAMES)))[-1]
    for name in NAMES:
        assert f">{name.replace('<', '&lt;').replace('>', '&gt;')}</text>" in svg


def test_the_map_has_names_in_any_script_as_text() -> None:
    squares = [shapely.box(20 * k, 20, 20 * k + 1, 21) for k in range(len(NAMES))]
    sites = gpd.GeoDataFrame(
        {"site_id": range(len(NAMES)), "split": "train", "epsg": 32633}, geometry=squares, crs=4326
    )
    svg = drawings.world(sites, dict(enumerate(NAMES)))
    assert svg is not None
    assert all(f">{name}</text>" in svg for name in NAMES[:5])
