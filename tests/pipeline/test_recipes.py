"""The four published benchmarks' recipes as they are; whole benchmarks of them are in
test_published_benchmarks.py."""

import shutil
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from minebench import layout
from pipeline import recipe
from pipeline.cli.new import Wanted, scaffold
from pipeline.sites import build
from tests.conftest import ROOT

PUBLISHED = ("euromine", "minenet", "oms2", "openpit-hr")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_recipe_loads_and_has_its_papers_figures(name: str) -> None:
    loaded = recipe.load(ROOT / "catalogs" / name / "recipe.yaml")
    size, stride = loaded.tiling.size, loaded.tiling.stride
    fractions = (loaded.split.train, loaded.split.val, loaded.split.test)
    facts = {
        "euromine": (10, 10.0, 10, 160, None, (0.7, 0.1, 0.2)),
        "minenet": (3, 1.2, 2, 256, None, (0.6, 0.1, 0.3)),
        "oms2": (3, 10.0, 60, 256, 100, (0.72, 0.16, 0.12)),
        "openpit-hr": (3, 1.0, 2, 256, None, (0.6, 0.2, 0.2)),
    }
    bands, periods = len(loaded.sensor.bands), len(loaded.periods.periods())
    assert (bands, loaded.sensor.resolution, periods, size, stride, fractions) == facts[name]


def test_openpit_is_of_two_summers_in_liaoning() -> None:
    """INSINet 3.1.1: 2018 and 2019, June to December."""
    loaded = recipe.load(ROOT / "catalogs/openpit-hr/recipe.yaml")
    ends = [(period.start.isoformat(), period.end.isoformat()) for period in loaded.periods.periods()]
    assert ends == [("2018-06-01", "2019-01-01"), ("2019-06-01", "2020-01-01")]
    west, south, east, north = loaded.sites.filters.bounds
    for lon, lat in ((123.43, 41.80), (121.61, 38.91), (119.45, 41.57), (124.85, 40.73)):  # towns in Liaoning
        assert west < lon < east
        assert south < lat < north
    assert loaded.sites.filters.country == ("CHN",)


@pytest.mark.parametrize(
    ("name", "line"),
    [("euromine", "Ours: footprints of Maus"), ("oms2", "equipment: open pit # ours"),
     ("openpit-hr", "# ours: the box around Liaoning")],
)  # fmt: skip
def test_what_is_not_the_papers_is_marked(name: str, line: str) -> None:
    assert line in (ROOT / "catalogs" / name / "recipe.yaml").read_text()


def test_euromines_countries_are_those_of_the_papers_table() -> None:
    wanted = recipe.load(ROOT / "catalogs/euromine/recipe.yaml").sites.per_country
    assert sum(wanted.values()) == 133
    assert len(wanted) == 14
    assert (wanted["DEU"], wanted["ESP"], wanted["AUT"]) == (16, 19, 1)


def test_euromines_selection_from_lists_in_the_publishers_form(tmp_path: Path) -> None:
    """Maus' and Jasansky's lists are not here: small ones with their columns, two mines more in each country
    than are wanted."""
    loaded = recipe.load(ROOT / "catalogs/euromine/recipe.yaml")
    shutil.copytree(ROOT / "catalogs/euromine", tmp_path / "catalogs/euromine")
    polygons, facilities = [], []
    for row, (country, count) in enumerate(loaded.sites.per_country.items()):
        for k in range(count + 2):
            lon, lat, side = -5 + 1.3 * row, 38 + 0.2 * k, 0.004 + 0.001 * k
            polygons.append((country, shapely.box(lon, lat, lon + 1.4 * side, lat + side)))
            kind = ("Coal", "Copper", "Limestone", "Potash")[k % 4]
            place = shapely.Point(lon, lat)
            facilities.append((f"{country} {k}", kind, country, "Open pit", "active", 2001, place))
    folder = tmp_path / "catalogs/euromine/mines"
    maus = gpd.GeoDataFrame(polygons, columns=["ISO3_CODE", "geometry"], crs=4326)
    maus.to_file(folder / "global_mining_polygons_v2.gpkg")
    columns = ["facility_name", "primary_commodity", "GID_0", "facility_equipment", "activity_status",
               "production_start", "geometry"]  # fmt: skip
    gpd.GeoDataFrame(facilities, columns=columns, crs=4326).to_file(folder / "facilities.gpkg")
    table = build.lay_out(layout.BenchmarkPaths("euromine", tmp_path), loaded)
    assert table.country.value_counts().to_dict() == loaded.sites.per_country
    assert set(table.production) == {"coal", "metallic", "quarry", "non-metallic"}
    # The two smallest of each country are those left out.
    for _, own in table.groupby("country"):
        assert not own.name.str.contains(" [01]$").any()


def test_oms2_over_the_real_boxes_of_its_author(shared: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogs/oms2", tmp_path / "catalogs/oms2")
    listed = shared / "mines/jasansky2023_active_sites.geojson"
    made = scaffold(Wanted("real", str(listed), like="oms2"), tmp_path).estimate
    assert (made.sites, made.periods) == (16, 60)
    assert made.pairs == made.tiles * 60 * 59 // 2
    assert made.scenes == pytest.approx(16 * 5 * 365 / 5, rel=0.05)
